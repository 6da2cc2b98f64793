//! The runner, over every earlier state.

use super::*;

fn schema(connection: &Connection) -> Vec<String> {
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn steps_are_numbered_without_gaps() {
    let versions: Vec<u32> = CATALOG.iter().map(|step| step.version).collect();
    assert_eq!(versions, (1..=u32::try_from(CATALOG.len()).unwrap()).collect::<Vec<_>>());
}

#[test]
fn every_earlier_state_ends_in_the_same_schema() {
    let mut fresh = Connection::open_in_memory().unwrap();
    assert_eq!(migrate(&mut fresh, CATALOG).unwrap(), 0);
    let expected = schema(&fresh);
    assert!(expected.len() > 28, "{expected:?}");
    for n_steps in 0..=CATALOG.len() {
        let mut older = Connection::open_in_memory().unwrap();
        migrate(&mut older, &CATALOG[..n_steps]).unwrap();
        migrate(&mut older, CATALOG).unwrap();
        assert_eq!(schema(&older), expected);
        assert_eq!(migrate(&mut older, CATALOG).unwrap(), version(&fresh).unwrap());
        assert_eq!(schema(&older), expected);
    }
}

#[test]
fn a_schema_from_the_future_is_refused_untouched() {
    let mut later = Connection::open_in_memory().unwrap();
    later.pragma_update(None, "user_version", 99).unwrap();
    let error = migrate(&mut later, CATALOG).unwrap_err();
    assert_eq!(error.to_string(), "the schema has version 99, this build knows versions up to 6: use a later build");
    assert!(schema(&later).is_empty());
}

#[test]
fn a_failing_step_leaves_the_state_before_it() {
    let broken = [
        Step { version: 1, name: "good", sql: "CREATE TABLE a(x)" },
        Step { version: 2, name: "bad", sql: "CREATE TABLE b(x); CREATE TABLE a(x)" },
    ];
    let mut connection = Connection::open_in_memory().unwrap();
    assert!(matches!(migrate(&mut connection, &broken), Err(MigrateError::Step { version: 2, .. })));
    assert_eq!(version(&connection).unwrap(), 1);
    assert_eq!(schema(&connection), ["CREATE TABLE a(x)"]);
}
