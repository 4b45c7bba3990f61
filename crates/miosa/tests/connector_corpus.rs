//! Replays the corpus of the fuzz target `connector_file`: here, because the server and the broker must
//! agree on what a connector is, and neither knows the other.

#[path = "../../../fuzz/src/connector_file.rs"]
mod connector_file;

use std::path::Path;

#[test]
fn the_server_takes_no_connector_that_the_broker_refuses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/connector_file");
    let mut count = 0;
    for entry in fs_err::read_dir(folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let data = fs_err::read(&path).expect("a case");
        let checked = std::panic::catch_unwind(|| connector_file::check(&data));
        assert!(checked.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count > 0, "no case");
}
