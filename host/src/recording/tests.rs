//! The file: what is written is read again, whatever was cut off it.

use std::{fs, io::Cursor, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use super::{
    Answer, Asked, Call, End, Frame, Frames, Function, Instance, Opening, Read, ReadError,
    Recorder, Recording, Start, Tape, Value,
    frame::{append, title},
    tape::Began,
};
use crate::{
    decision::{Context, Edit, Hook, Member, Trigger, Verdict},
    snapshot::Record,
};

const BEGAN: Began = Began {
    now_us: 1,
    wall_ms: 2,
    entropy: 3,
    triggered: u64::MAX,
};

fn context() -> Context {
    Context {
        binding: "default/app".into(),
        replica: 1,
        replicas: 2,
    }
}

fn call(asked: Asked, reads: Vec<Read>, answer: Answer) -> Call {
    Call {
        asked,
        now_us: 1,
        wall_ms: 2,
        entropy: 3,
        triggered: u64::MAX,
        reads,
        answer,
    }
}

/// One of each kind.
fn frames() -> Vec<Frame> {
    let read = Read {
        function: Function::RequestHeader,
        arguments: vec!["x-group".into()],
        result: Value::Bytes(b"blue".to_vec()),
        redacted: false,
    };
    let member = Member {
        id: "http://10.0.0.1:80".into(),
        route: "w1".into(),
        weight: 100,
        lb_set: 0,
        labels: vec![("zone".into(), "a".into())],
    };
    let members = Asked::MembersChanged {
        revision: 1,
        members: vec![member],
    };
    let pick = Asked::Pick {
        attempt: 0,
        state: 7,
    };
    let edits = vec![Edit::Set("x-a".into(), b"1".to_vec())];
    vec![
        Frame::Opening(Opening {
            host: "0.1.0".into(),
            tenant: "default".into(),
            policy: "canary".into(),
            at_ms: 5,
            redact: vec!["cookie".into()],
        }),
        Frame::Start(Start {
            window: 0,
            at_ms: 5,
            digest: "ab".into(),
            config: "{}".into(),
            context: context(),
            deadline_us: 5_000,
            init_deadline_us: 1_000_000,
            memory: 32 << 20,
            triggers: vec![(Hook::Bind, Trigger::Cookie("S".into()))],
        }),
        Frame::Call(0, call(members, Vec::new(), Answer::Done)),
        Frame::Call(
            0,
            call(pick, vec![read], Answer::Verdict(Verdict::Member(0))),
        ),
        Frame::Call(0, call(Asked::Bind, Vec::new(), Answer::Edits(edits))),
        Frame::End(0, End::Full),
    ]
}

fn file() -> Vec<u8> {
    let mut file = title().into_bytes();
    for frame in frames() {
        assert!(append(&mut file, &frame));
    }
    file
}

fn read(bytes: &[u8]) -> (Vec<Frame>, bool) {
    let mut from = Frames::new(Cursor::new(bytes)).unwrap();
    let frames = from.by_ref().collect::<Result<_, _>>().unwrap();
    (frames, from.is_truncated())
}

#[test]
fn what_is_written_is_read_again() {
    assert_eq!(read(&file()), (frames(), false));
}

/// A change of these bytes is another format: `VERSION` is raised with it.
#[test]
fn bytes_of_the_format_are_these() {
    let file = file();
    let sum = file
        .iter()
        .fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
    assert_eq!((file.len(), sum), (236, 3_424_402_424));
}

#[test]
fn file_cut_anywhere_is_read_to_its_last_whole_frame() {
    let (file, all) = (file(), frames());
    let start = title().len();
    for length in start..file.len() {
        let (got, truncated) = read(&file[..length]);
        assert!(got.len() < all.len() && got == all[..got.len()], "{length}");
        let mut whole = title().into_bytes();
        for frame in &got {
            append(&mut whole, frame);
        }
        assert_eq!(truncated, whole.len() < length, "{length}");
    }
}

#[test]
fn strange_files_are_told_apart() {
    let open = |bytes: &[u8]| Frames::new(Cursor::new(bytes.to_vec())).map(drop);
    assert!(matches!(open(b""), Err(ReadError::Stranger)));
    assert!(matches!(open(b"\0asm\x01"), Err(ReadError::Stranger)));
    assert!(matches!(
        open(b"switchyard recording 1"),
        Err(ReadError::Stranger)
    ));
    assert!(matches!(open(b"switchyard recording 2\n"), Err(ReadError::Version(v)) if v == "2"));
    let mut file = file();
    let at = title().len();
    file[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let read: Vec<_> = Frames::new(Cursor::new(file)).unwrap().collect();
    assert!(matches!(read[..], [Err(ReadError::Damaged { .. })]));
}

proptest::proptest! {
    #[test]
    fn damaged_files_are_refused_or_read_but_never_more(at in 0_usize..400, byte: u8) {
        let mut file = file();
        let at = title().len() + at % (file.len() - title().len());
        file[at] = byte;
        let read = Frames::new(Cursor::new(file)).unwrap().count();
        proptest::prop_assert!(read <= frames().len() + 1);
    }
}

fn record(path: &Path) -> Record {
    Record {
        path: path.to_owned(),
        sample: 0.5,
        redact: Vec::new(),
        max_size: 1 << 20,
    }
}

fn begin(recording: &Arc<Recording>) -> Option<Tape> {
    recording.begin(&Instance {
        digest: "ab".into(),
        config: "{}",
        context: &context(),
        deadline_us: 1,
        init_deadline_us: 1,
        memory: 1,
    })
}

fn pick(tape: &mut Tape) {
    let asked = Asked::Pick {
        attempt: 0,
        state: 0,
    };
    tape.begin(&asked);
    tape.finish(asked, BEGAN, Answer::Verdict(Verdict::Abstain));
}

fn written(recorder: &Recorder, path: &Path) -> Vec<Frame> {
    recorder.finish();
    read(&fs::read(path).unwrap()).0
}

#[test]
fn windows_alternate_with_pauses_so_that_the_sample_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.rec");
    let recorder = Recorder::start("default", "own", record(&path)).unwrap();
    let recording = Recording::new(Arc::clone(&recorder), Vec::new());
    let mut tape = begin(&recording).expect("the first instance");
    let (mut calls, mut recorded) = (0_u64, 0_u64);
    for _ in 0..20_000 {
        calls += 1;
        recorded += u64::from(!tape.is_off());
        pick(&mut tape);
        // The instance is replaced now and then; its successor is recorded if that is due.
        if calls.is_multiple_of(250) && recording.is_due(calls) {
            assert!(tape.is_off(), "a window that is open is not cut short");
            tape = begin(&recording).expect("it was due");
        }
    }
    assert!(
        recorded.abs_diff(calls / 2) <= 1_000,
        "{recorded} of {calls}"
    );
    assert_eq!(recorder.status().calls, recorded);
    drop((tape, recording));
    let frames = written(&recorder, &path);
    let windows = frames.iter().filter(|f| matches!(f, Frame::Start(_)));
    assert!(windows.count() > 2);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn full_file_is_put_aside_with_its_windows_and_a_link_is_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.rec");
    let precious = folder.path().join("precious");
    fs::write(&precious, "as it was").unwrap();
    std::os::unix::fs::symlink(&precious, &path).unwrap();
    let recorder = Recorder::start("default", "own", record(&path)).unwrap();
    let recording = Recording::new(Arc::clone(&recorder), Vec::new());
    let mut tape = begin(&recording).unwrap();
    let asked = || Asked::Restore {
        previous: String::new(),
        states: vec![vec![7; 700 << 10]],
    };
    // Two of these are more than a file may have.
    let mut calls = 0;
    while !tape.is_off() {
        calls += 1;
        assert!(calls < 1_000, "the window goes on in the next file");
        tape.begin(&asked());
        tape.finish(asked(), BEGAN, Answer::Restored(Ok(())));
        std::thread::yield_now();
    }
    assert!(recorder.status().rotations > 0 || recorder.status().dropped > 0);
    drop((tape, recording));
    recorder.finish();
    assert_eq!(fs::read(&precious).unwrap(), b"as it was");
}

#[test]
fn file_that_cannot_be_written_ends_the_recording_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/own.rec");
    let recorder = Recorder::start("default", "own", record(&path)).unwrap();
    let recording = Recording::new(Arc::clone(&recorder), Vec::new());
    let mut tape = begin(&recording).unwrap();
    pick(&mut tape);
    recorder.finish();
    pick(&mut tape);
    assert!(tape.is_off() && recorder.status().failed);
    assert!(begin(&recording).is_none());
}

#[test]
fn recorder_goes_on_over_a_reload_until_its_settings_change() {
    let folder = tempfile::tempdir().unwrap();
    let settings = record(&folder.path().join("own.rec"));
    let recorders = super::Recorders::default();
    let first = recorders.open("default", "own", &settings).unwrap();
    let again = recorders.open("default", "own", &settings).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let changed = Record {
        sample: 1.0,
        ..settings
    };
    let second = recorders.open("default", "own", &changed).unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(begin(&Recording::new(first, Vec::new())).is_none());
    let tape = begin(&Recording::new(Arc::clone(&second), Vec::new()));
    assert!(tape.is_some());
    assert_eq!(recorders.status().len(), 1);
    assert_eq!(recorders.status()[0].2.windows, 1);
}
