use std::{collections::HashSet, fs, os::unix::fs::symlink, path::Path, sync::Arc, thread};

use super::{
    super::{AccessLog, Logs},
    with_record,
};
use crate::snapshot::{self, AccessFormat};

fn open(logs: &Logs, path: &Path) -> Arc<AccessLog> {
    let log = snapshot::AccessLog {
        beneath: None,
        path: Some(path.to_owned()),
        format: AccessFormat::Custom("%U".into()),
    };
    logs.access(&log).unwrap()
}

fn write(log: &AccessLog, text: &str) {
    with_record(|mut record| {
        record.target = text;
        log.write(&record);
    });
}

#[test]
fn rotation_loses_no_line_and_tears_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/access.log");
    let logs = Logs::start().unwrap();
    let log = open(&logs, &path);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let log = Arc::clone(&log);
            thread::spawn(move || (0..5_000).for_each(|n| write(&log, &format!("/{writer}/{n}"))))
        })
        .collect();
    for rotation in 0..20 {
        fs::rename(&path, path.with_extension(rotation.to_string())).unwrap();
        logs.reopen();
        assert!(path.exists());
    }
    writers.into_iter().for_each(|w| w.join().unwrap());
    logs.flush();
    let mut seen = HashSet::new();
    for file in fs::read_dir(path.parent().unwrap()).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        for line in text.lines() {
            assert!(seen.insert(line.to_owned()), "{line} twice");
        }
    }
    assert_eq!(seen.len(), 20_000);
    assert_eq!(log.dropped(), 0);
}

#[test]
fn full_disk_neither_holds_up_nor_loses_lines_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    symlink("/dev/full", &path).unwrap();
    let logs = Logs::start().unwrap();
    let log = open(&logs, &path);
    write(&log, "/first");
    logs.flush();
    let line = format!("/{}", "x".repeat(1_000));
    for _ in 0..3_000 {
        write(&log, &line);
    }
    assert!(log.dropped() > 0, "3 MB do not fit in the buffer");
    fs::remove_file(&path).unwrap();
    logs.reopen();
    write(&log, "/last");
    logs.flush();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&"/first"));
    assert_eq!(lines.last(), Some(&"/last"));
    assert!(lines[1..lines.len() - 1].iter().all(|l| *l == line));
    assert_eq!(lines.len() as u64 + log.dropped(), 3_002);
}

#[test]
fn same_log_is_opened_once_and_formats_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let logs = Logs::start().unwrap();
    let (first, again) = (open(&logs, &path), open(&logs, &path));
    assert!(Arc::ptr_eq(&first, &again));
    let other = logs.access(&snapshot::AccessLog {
        beneath: None,
        path: Some(path.clone()),
        format: AccessFormat::Custom("other %U".into()),
    });
    write(&first, "/1");
    write(&other.unwrap(), "/2");
    write(&again, "/3");
    logs.flush();
    assert_eq!(fs::read_to_string(&path).unwrap(), "/1\nother /2\n/3\n");
}

#[test]
fn closed_log_is_written_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let logs = Logs::start().unwrap();
    let log = open(&logs, &path);
    write(&log, "/1");
    drop(log);
    logs.flush();
    assert_eq!(fs::read_to_string(&path).unwrap(), "/1\n");
}

#[test]
fn log_that_cannot_be_opened_is_told_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder/access.log");
    let logs = Logs::start().unwrap();
    let log = snapshot::AccessLog {
        beneath: None,
        path: Some(path.clone()),
        format: AccessFormat::Common,
    };
    let error = logs.access(&log).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(!folder.path().join("no").exists(), "no tree is grown");
}
