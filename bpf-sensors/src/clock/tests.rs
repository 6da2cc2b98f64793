//! Times after a jump of the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hindcast_model::{ManualClock, Timestamp};

use super::{BootClock, Clocks};

struct Boot(Arc<AtomicU64>);

impl BootClock for Boot {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_jump_of_the_wall_clock_moves_what_comes_after_and_is_told() {
    let (wall, boot) =
        (Arc::new(ManualClock::new(Timestamp::from_nanos(5_000_000_000_000))), Arc::new(AtomicU64::new(1_000)));
    let mut clocks = Clocks::new(Arc::<ManualClock>::clone(&wall), Box::new(Boot(Arc::clone(&boot))));
    assert_eq!(clocks.instant(900), 4_999_999_999_900);

    boot.store(2_000, Ordering::SeqCst);
    wall.set(Timestamp::from_nanos(5_000_000_001_010));
    assert_eq!(clocks.adjust(), None, "a slew of ten nanoseconds is none");
    assert_eq!(clocks.instant(2_000), 5_000_000_001_010);

    wall.set(Timestamp::from_nanos(4_000_000_001_010));
    assert_eq!(clocks.adjust(), Some(-1_000_000_000_000));
    assert_eq!(clocks.instant(2_000), 4_000_000_001_010);
}
