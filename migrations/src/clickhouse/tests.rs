//! What every step must be; that they run is shown against an engine.

use super::*;

#[test]
fn steps_are_numbered_like_their_files_and_may_run_again() {
    for (step, version) in STEPS.iter().zip(1..) {
        assert_eq!(step.version, version);
        let may_run_again = [" IF NOT EXISTS ", " IF EXISTS ", " MODIFY SETTING "];
        assert!(may_run_again.iter().any(|words| step.sql.contains(words)), "{}", step.name);
        assert!(!step.sql.contains(';'), "{} is more than one statement", step.name);
        let file = format!("clickhouse/{:04}-{}.sql", step.version, step.name);
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        assert_eq!(std::fs::read_to_string(path).unwrap(), step.sql, "{file}");
    }
}

#[test]
fn a_statement_has_the_form_of_its_server() {
    let (one, many) = (Form { database: "h", cluster: None }, Form { database: "h", cluster: Some("fleet") });
    assert_eq!(many.create_database(), "CREATE DATABASE IF NOT EXISTS h ON CLUSTER fleet");
    for step in STEPS {
        let (alone, replicated) = (one.statement(step), many.statement(step));
        let makes_no_table = !step.sql.contains("CREATE TABLE ");
        assert!(!alone.contains('{') && (makes_no_table || alone.contains("MergeTree\n")), "{alone}");
        assert!(replicated.contains(" ON CLUSTER fleet"), "{replicated}");
        assert!(makes_no_table || replicated.contains("/{shard}/{database}/{table}', '{replica}')"), "{replicated}");
    }
}
