use proptest::prelude::*;

use super::{Fault, Head, Report, Verifier};

fn chain(count: usize) -> (Vec<u8>, Head) {
    let mut out = Vec::new();
    let mut head = Head::START;
    for n in 0..count {
        let line = format!("{{\"id\":\"{n}\",\"path\":\"/,\\\"seq\\\":9/{n}\"}}");
        head = head.append(line.as_bytes(), &mut out);
    }
    (out, head)
}

fn verify(file: &[u8], kept: Head) -> Report {
    let verifier = Verifier::new(Some(Head::START), Some(kept));
    verifier.verify(file).unwrap()
}

fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    file.split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn what_was_written_is_intact() {
    let (file, head) = chain(5);
    let report = verify(&file, head);
    assert_eq!((report.intact, report.lines, report.first), (true, 5, 1));
    assert_eq!(report.head.parse(), Ok(head));
    for line in lines(&file) {
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert!(value["seq"].is_u64() && value["prev"].is_string() && value["hash"].is_string());
    }
    assert!(verify(b"", Head::START).intact);
}

#[test]
fn a_chain_goes_on_in_another_file() {
    let (file, head) = chain(6);
    let lines = lines(&file);
    let rest = lines[3..].concat();
    let anywhere = Verifier::new(None, Some(head)).verify(&*rest).unwrap();
    assert_eq!((anywhere.intact, anywhere.first), (true, 4));
    let before = Head::of_line(lines[2].strip_suffix(b"\n").unwrap());
    assert!(
        Verifier::new(before, Some(head))
            .verify(&*rest)
            .unwrap()
            .intact
    );
    assert!(!verify(&rest, head).intact);
}

#[test]
fn it_is_said_what_happened_and_where() {
    let (file, head) = chain(5);
    let lines = lines(&file);
    let with =
        |order: &[usize]| -> Vec<u8> { order.iter().flat_map(|n| lines[*n].clone()).collect() };
    for (order, fault) in [
        (
            &[0, 1, 3, 4][..],
            Fault::Removed {
                line: 3,
                first: 3,
                last: 3,
            },
        ),
        (
            &[0, 2, 1, 3, 4],
            Fault::Removed {
                line: 2,
                first: 2,
                last: 2,
            },
        ),
        (&[0, 1, 1, 2, 3, 4], Fault::Moved { line: 3, seq: 2 }),
        (&[0, 1, 2], Fault::CutOff { last: 3, head: 5 }),
        (&[], Fault::CutOff { last: 0, head: 5 }),
    ] {
        let report = verify(&with(order), head);
        assert_eq!(report.fault, Some(fault.to_string()));
    }
    let mut changed = file.clone();
    changed[lines[0].len() + 8] ^= 1;
    let report = verify(&changed, head);
    assert_eq!(report.fault, Some(Fault::Changed { line: 2 }.to_string()));
}

#[test]
fn a_line_that_was_replaced_with_a_good_hash_is_found_by_the_next_or_the_head() {
    let (file, head) = chain(3);
    let mut lines = lines(&file);
    let first = Head::of_line(lines[0].strip_suffix(b"\n").unwrap()).unwrap();
    let mut forged = Vec::new();
    let _ = first.append(b"{\"id\":\"forged\"}", &mut forged);
    lines[1] = forged.clone();
    let fault = Fault::Replaced { line: 3 };
    assert_eq!(verify(&lines.concat(), head).fault, Some(fault.to_string()));
    let two = [lines[0].clone(), forged].concat();
    let kept = Head { seq: 2, ..head };
    let fault = Fault::OtherHead { seq: 2 };
    assert_eq!(verify(&two, kept).fault, Some(fault.to_string()));
}

#[test]
fn a_rotated_file_must_follow_from_the_kept_head() {
    let (file, head) = chain(3);
    let lines = lines(&file);
    let rest = lines[1..].concat();
    let first = Head::of_line(lines[0].strip_suffix(b"\n").unwrap()).unwrap();
    let look = |kept| Verifier::new(None, Some(kept)).verify(&*rest).unwrap();
    assert!(look(first).intact && look(head).intact);
    let other = Head { seq: 1, ..head };
    let fault = Fault::Replaced { line: 1 };
    assert_eq!(look(other).fault, Some(fault.to_string()));
}

#[test]
fn numbers_do_not_run_over() {
    let last = Head {
        seq: u64::MAX - 1,
        ..Head::START
    };
    let mut file = Vec::new();
    let _ = last.append(b"{}", &mut file).append(b"{}", &mut file);
    let report = Verifier::new(None, None).verify(&*file).unwrap();
    assert!(!report.intact);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_single_edit_is_found(count in 1_usize..6, at: prop::sample::Index, byte: u8, kind in 0..3) {
        let (file, head) = chain(count);
        let at = at.index(file.len());
        let mut edited = file.clone();
        match kind {
            0 => edited[at] = byte,
            1 => edited.insert(at, byte),
            _ => drop(edited.remove(at)),
        }
        prop_assert_eq!(verify(&edited, head).intact, edited == file);
    }

    #[test]
    fn any_order_but_the_right_one_is_found(order in prop::collection::vec(0_usize..4, 0..6)) {
        let (file, head) = chain(4);
        let lines = lines(&file);
        let edited: Vec<u8> = order.iter().flat_map(|n| lines[*n].clone()).collect();
        prop_assert_eq!(verify(&edited, head).intact, edited == file);
    }
}
