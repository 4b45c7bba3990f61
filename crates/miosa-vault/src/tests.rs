mod keys;
mod placeholders;
mod sealing;
mod values;
