//! The transcript that README shows is what a user sees: each of its lines is typed, and what comes is compared.

use std::path::Path;

use rowcast_e2e::Shell;
use rowcast_testkit::Platform;

/// A line that begins so was typed; what follows is what came.
const PROMPT: &str = "$ ";

/// The port of the source in the transcript.
const PORT: &str = "22520";

/// Checks that see something else on each machine: only how they end is compared.
const MEASURED: [&str; 2] = [
    "The clocks agree within two seconds",
    "The server is PostgreSQL 9.4 or newer",
];

const TRACKER: &str = "Grey-goose-19";

#[tokio::test]
async fn the_transcript_is_what_a_user_sees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let told = std::fs::read_to_string(root.join("docs/samples/wizard.console")).unwrap();
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    database(&platform).await;
    let port = platform.postgres.port().to_string();
    let mut shell = Shell::of(&platform).unwrap();
    for (name, value) in [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", port.as_str()),
        ("PGUSER", "tracker"),
        ("PGPASSWORD", TRACKER),
    ] {
        shell.set(name, value);
    }
    shell.write("tracker.pw", TRACKER).unwrap();
    shell.write("warehouse.pw", "Blue-horse-7").unwrap();
    let mut seen = String::new();
    for line in told.lines().filter_map(|line| line.strip_prefix(PROMPT)) {
        let came = shell.types(&line.replace(PORT, &port)).await.unwrap();
        seen.push_str(&format!("{PROMPT}{line}\n{}", came.replace(&port, PORT)));
    }
    let (expected, came) = (comparable(&told), comparable(&seen));
    if expected != came {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wizard.console");
        std::fs::write(&kept, &seen).unwrap();
        let differs = expected.iter().zip(&came).find(|(one, other)| one != other);
        panic!(
            "docs/samples/wizard.console is not what is seen; that is in {}: copy it, and put it into README with \
             tests/checks/samples.py --write. First difference: {differs:?}",
            kept.display()
        );
    }
}

/// What is there before: a shop, and a role that may track it.
async fn database(platform: &Platform) {
    let role = format!("CREATE ROLE tracker LOGIN REPLICATION PASSWORD '{TRACKER}'");
    let admin = platform.sql("postgres").await.unwrap();
    admin.batch_execute(&role).await.unwrap();
    let database = "CREATE DATABASE shop OWNER tracker";
    admin.batch_execute(database).await.unwrap();
    let table = "CREATE TABLE orders (id int PRIMARY KEY, status text, total numeric);
                 ALTER TABLE orders OWNER TO tracker";
    let shop = platform.sql("shop").await.unwrap();
    shop.batch_execute(table).await.unwrap();
}

/// The lines without what is another one each time. Of what is told while something is waited for, only the last line
/// counts: how many there are before it is a matter of time.
fn comparable(transcript: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in transcript.lines() {
        let line = if line.starts_with(PROMPT) {
            line.to_owned()
        } else {
            same_each_time(line)
        };
        if is_progress(&line) && lines.last().is_some_and(|last| is_progress(last)) {
            lines.pop();
        }
        lines.push(line);
    }
    // What is removed at the same time goes in any order.
    for removals in lines.chunk_by_mut(|one, next| is_removal(one) && is_removal(next)) {
        removals.sort_by(|one, other| removed(one).cmp(&removed(other)));
        for (line, number) in removals.iter_mut().zip(1..) {
            if let Some(what) = removed(line) {
                *line = format!("{number} removed: {what}");
            }
        }
    }
    lines
}

/// As `NUMBER s 2/4 removed: slot rowcast_ID`.
fn is_removal(line: &str) -> bool {
    removed(line).is_some()
}

fn removed(line: &str) -> Option<&str> {
    line.split_once(" removed: ").map(|(_, what)| what)
}

/// As `SECONDS s orders is running`.
fn is_progress(line: &str) -> bool {
    line.starts_with("NUMBER s ") && line.contains(" is ")
}

/// Blanks as one, and words in the place of ids, times and measures.
fn same_each_time(line: &str) -> String {
    let measured = MEASURED.iter().find(|check| line.starts_with(**check));
    if let Some(check) = measured {
        let outcome = line.strip_prefix(check).unwrap_or(line);
        let outcome = outcome.split_whitespace().next().unwrap_or_default();
        return format!("{check} {outcome}");
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let next = words.iter().skip(1).map(Some).chain([None]);
    let words = words.iter().zip(next).map(|(word, next)| {
        let is_measure = next.is_some_and(|unit| {
            matches!(
                *unit,
                "s" | "B" | "KiB" | "MiB" | "GiB" | "TiB" | "sessions"
            )
        });
        if is_time(word.trim_end_matches(':')) {
            "TIME".to_owned()
        } else if is_measure && word.parse::<f64>().is_ok() {
            "NUMBER".to_owned()
        } else {
            without_ids(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// As `2026-11-29T11:58:06Z` and `11:58:07.278`.
fn is_time(word: &str) -> bool {
    let digits = word.starts_with(|c: char| c.is_ascii_digit());
    digits && word.matches(':').count() == 2
}

/// Ids have thirteen characters, of which the first tells what it is; long numbers are a server's own.
fn without_ids(word: &str) -> String {
    let mut text = String::new();
    let mut run = String::new();
    // Digits behind a point are of a price.
    let is_number = |run: &str, text: &str| {
        run.len() > 5 && run.chars().all(|c| c.is_ascii_digit()) && !text.ends_with('.')
    };
    for c in word.chars().map(Some).chain([None]) {
        match c {
            Some(c) if c.is_ascii_alphanumeric() => run.push(c),
            other => {
                let is_id = run.len() == 13 && run.starts_with(['s', 't', 'n', 'g']);
                match (is_id, is_number(&run, &text)) {
                    (true, _) => text.push_str("ID"),
                    (false, true) => text.push_str("NUMBER"),
                    (false, false) => text.push_str(&run),
                }
                run.clear();
                text.extend(other);
            }
        }
    }
    text
}

#[test]
fn what_is_another_each_time_is_not_compared() {
    for (one, other) in [
        ("id        szxavptsxymdr", "id  s0a1b2c3d4e5f"),
        (
            "created   2026-11-29T11:58:06Z",
            "created 2027-01-01T00:00:00Z",
        ),
        ("stream RC_tngp7rgnfnwb5", "stream RC_t000000000000"),
        (
            "1.3 KiB of 33.5 GiB used, 0 B promised",
            "9 KiB of 1 GiB used, 7 B promised",
        ),
        (
            "system 7713561338762615201, timeline 1",
            "system 7713561338762615209, timeline 1",
        ),
    ] {
        assert_eq!(same_each_time(one), same_each_time(other));
    }
    for (one, other) in [
        ("state not_started", "state running"),
        (
            "0 of 50 replication slots in use",
            "1 of 50 replication slots in use",
        ),
        ("price an hour  0.120000 USD", "price an hour  0.130000 USD"),
    ] {
        assert_ne!(same_each_time(one), same_each_time(other));
    }
    let soon = "  0.1 s  orders is starting\n  0.3 s  orders is running\ntask orders is running";
    let late = "  9.3 s  orders is running\ntask orders is running";
    assert_eq!(comparable(soon), comparable(late));
    assert_ne!(
        comparable(soon),
        comparable("  0.1 s  orders is starting\ntask orders is running")
    );
}
