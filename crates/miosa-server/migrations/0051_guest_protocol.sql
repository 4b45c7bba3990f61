-- What a sandbox's guest agent said it speaks when it last started; nothing is what one says that knows no number.
alter table sandboxes add column guest_protocol bigint;
