//! The decision: may it be used once more. Pure; the time is given.
//!
//! A window is a minute or a day of the clock (UTC), counted from 1970. A clock that is set back stays in the
//! window it was in: nothing is gained by it.

use miosa_api::budget::{BudgetLimits, BudgetUsed};

const MINUTE_SECS: u64 = 60;
const DAY_SECS: u64 = 24 * 3600;

/// What was used, and in which windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    /// Minutes since 1970.
    pub minute: u64,
    /// Uses in it.
    pub in_minute: u32,
    /// Days since 1970.
    pub day: u64,
    /// Uses in it.
    pub in_day: u32,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// `minute` or `day`.
    pub window: &'static str,
    /// The limit.
    pub limit: u32,
    /// Seconds until the window ends.
    pub retry_after_secs: u64,
}

impl Counter {
    /// It at this moment, in seconds since 1970: windows that ended count nothing.
    #[must_use]
    pub const fn at(mut self, now_secs: u64) -> Self {
        let (minute, day) = (now_secs / MINUTE_SECS, now_secs / DAY_SECS);
        if minute > self.minute {
            (self.minute, self.in_minute) = (minute, 0);
        }
        if day > self.day {
            (self.day, self.in_day) = (day, 0);
        }
        self
    }

    /// For people.
    #[must_use]
    pub const fn used(&self) -> BudgetUsed {
        BudgetUsed {
            this_minute: self.in_minute,
            today: self.in_day,
        }
    }
}

/// The counter after one more use, if the limits allow it.
///
/// # Errors
/// The limit that is reached; of two the one that lasts longer.
pub fn decide(limits: &BudgetLimits, counter: Counter, now_secs: u64) -> Result<Counter, Spent> {
    let counter = counter.at(now_secs);
    let windows = [
        (
            "day",
            limits.per_day,
            counter.in_day,
            (counter.day + 1) * DAY_SECS,
        ),
        (
            "minute",
            limits.per_minute,
            counter.in_minute,
            (counter.minute + 1) * MINUTE_SECS,
        ),
    ];
    for (window, limit, used, ends_secs) in windows {
        if let Some(limit) = limit.filter(|limit| used >= *limit) {
            let retry_after_secs = ends_secs.saturating_sub(now_secs).max(1);
            return Err(Spent {
                window,
                limit,
                retry_after_secs,
            });
        }
    }
    Ok(Counter {
        in_minute: counter.in_minute.saturating_add(1),
        in_day: counter.in_day.saturating_add(1),
        ..counter
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000 - 1_800_000_000 % DAY_SECS;

    fn limits(per_minute: Option<u32>, per_day: Option<u32>) -> BudgetLimits {
        BudgetLimits {
            per_minute,
            per_day,
        }
    }

    #[test]
    fn so_many_and_then_none_until_the_window_ends() {
        let limits = limits(Some(2), Some(3));
        let mut counter = Counter::default();
        for second in [0, 59] {
            counter = decide(&limits, counter, NOW + second).unwrap();
        }
        let spent = decide(&limits, counter, NOW + 59).unwrap_err();
        assert_eq!(
            (spent.window, spent.limit, spent.retry_after_secs),
            ("minute", 2, 1)
        );
        counter = decide(&limits, counter, NOW + 60).unwrap();
        let spent = decide(&limits, counter, NOW + 61).unwrap_err();
        assert_eq!((spent.window, spent.limit), ("day", 3));
        assert_eq!(spent.retry_after_secs, DAY_SECS - 61);
        assert!(decide(&limits, counter, NOW + DAY_SECS).is_ok());
    }

    #[test]
    fn a_refusal_counts_nothing_and_no_limit_never_refuses() {
        let mut counter = Counter::default();
        for _ in 0..1000 {
            counter = decide(&limits(None, None), counter, NOW).unwrap();
        }
        assert_eq!(counter.used().today, 1000);
        assert!(decide(&limits(None, Some(1)), counter, NOW).is_err());
        assert_eq!(counter.at(NOW).used().today, 1000);
    }

    #[test]
    fn a_clock_that_is_set_back_gains_nothing() {
        let limits = limits(Some(1), Some(1));
        let counter = decide(&limits, Counter::default(), NOW + DAY_SECS).unwrap();
        for earlier in [NOW, NOW + 1, NOW + DAY_SECS - 1] {
            assert!(decide(&limits, counter, earlier).is_err(), "{earlier}");
        }
    }
}
