//! How often something may happen: so many times at once, then so many a second.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A bucket of permissions that fills up again.
#[derive(Debug)]
pub struct Rate {
    burst: f64,
    per_second: f64,
    left: Mutex<(f64, Instant)>,
}

impl Rate {
    /// `burst` at once, then `per_second`.
    #[must_use]
    pub fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst: burst.into(),
            per_second: per_second.into(),
            left: Mutex::new((burst.into(), Instant::now())),
        }
    }

    /// Takes one, if there is one left.
    pub fn take(&self) -> bool {
        self.take_at(Instant::now(), 1.0)
    }

    /// Whether none is left.
    pub fn is_spent(&self) -> bool {
        !self.take_at(Instant::now(), 0.0)
    }

    fn take_at(&self, now: Instant, wanted: f64) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(left.1).as_secs_f64();
        let filled = passed.mul_add(self.per_second, left.0).min(self.burst);
        let is_there = filled >= 1.0;
        *left = (if is_there { filled - wanted } else { filled }, now);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_spent_and_fills_up_again_to_its_brim() {
        let rate = Rate::new(3, 2);
        let at = |millis| Instant::now() + Duration::from_millis(millis);
        let start = at(0);
        let taken = (0..5).filter(|_| rate.take_at(start, 1.0)).count();
        assert_eq!(taken, 3);
        assert!(rate.take_at(start + Duration::from_millis(600), 1.0));
        assert!(!rate.take_at(start + Duration::from_millis(600), 0.0));
        let later = start + Duration::from_secs(3600);
        let taken = (0..5).filter(|_| rate.take_at(later, 1.0)).count();
        assert_eq!(taken, 3);
    }
}
