//! What may happen to a sandbox, as one pure, total function.
//!
//! ```text
//!            ┌───────── Resume ─────────┬───────────────┐
//!            ▼                          │               │
//!  (new) creating ──Booted──▶ running ──┼─Stop────▶ stopped
//!            │                 │   ▲    │               ▲
//!          Failed         Pause│   │Resume              │Stop
//!            │                 ▼   │                    │
//!            ▼                paused ───────────────────┘
//!          error ◀──Exited── running, paused
//!
//!  every state ──Destroy──▶ destroyed, which nothing leaves
//! ```
//!
//! INVARIANT: `running` is entered only by a guest that answered (`Booted`) or a thaw (`Resume`);
//! nothing leaves `destroyed`.

use miosa_api::error::ErrorCode;
use miosa_api::sandbox::SandboxState::{
    self, Creating, Destroyed, Error, Paused, Running, Stopped,
};

/// What happens to a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its row was made: start it.
    Create,
    /// Its guest agent answered after a start.
    Booted,
    /// Its start failed or was given up.
    Failed,
    /// Its guest agent ended by itself.
    Exited,
    /// Freeze it.
    Pause,
    /// Let it go on.
    Resume,
    /// End its processes, keep its disk.
    Stop,
    /// Remove everything.
    Destroy,
}

/// What the driver does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Start its processes. Ends in `Booted` or `Failed`.
    Boot,
    /// Freeze.
    Freeze,
    /// Thaw.
    Thaw,
    /// End its processes.
    Halt,
    /// Remove everything of it.
    Remove,
}

impl Effect {
    /// Whether the new state is written before the effect. Then a server that dies in between finds
    /// the wish and fulfils it; otherwise it finds the old state, which is still true.
    #[must_use]
    pub const fn is_announced(self) -> bool {
        matches!(self, Self::Boot | Self::Halt | Self::Remove)
    }
}

/// Where it goes and what has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The next state.
    pub next: SandboxState,
    /// What to do.
    pub effect: Effect,
}

/// Why an event is refused in a state.
pub type Refused = ErrorCode;

/// What an event does in a state.
pub const fn next(state: SandboxState, event: Event) -> Result<Transition, Refused> {
    let (next, effect) = match (state, event) {
        (Destroyed, Event::Destroy | Event::Exited | Event::Failed) => (Destroyed, Effect::None),
        (Destroyed, _) => return Err(ErrorCode::NotFound),
        (_, Event::Destroy) => (Destroyed, Effect::Remove),

        (Creating, Event::Create) => (Creating, Effect::Boot),
        (Creating, Event::Booted) => (Running, Effect::None),
        (Creating, Event::Failed) => (Error, Effect::None),
        (Creating, Event::Exited) => (Creating, Effect::None),
        (Creating, Event::Pause | Event::Resume | Event::Stop) => {
            return Err(ErrorCode::SandboxStarting);
        }

        (Running, Event::Pause) => (Paused, Effect::Freeze),
        (Running, Event::Resume) => return Err(ErrorCode::SandboxNotPaused),
        (Running | Paused, Event::Stop) => (Stopped, Effect::Halt),
        (Running | Paused, Event::Exited) => (Error, Effect::Halt),

        (Paused, Event::Resume) => (Running, Effect::Thaw),
        (Paused, Event::Pause) => (Paused, Effect::None),

        (Stopped | Error, Event::Resume) => (Creating, Effect::Boot),
        (Stopped, Event::Stop) => (Stopped, Effect::None),
        (Error, Event::Stop) => (Stopped, Effect::Halt),
        (Stopped | Error, Event::Pause) => return Err(ErrorCode::SandboxNotRunning),
        (Stopped | Error, Event::Exited | Event::Failed) => (state, Effect::None),

        (Running | Paused | Stopped | Error, Event::Create | Event::Booted)
        | (Running | Paused, Event::Failed) => return Err(ErrorCode::ResourceState),
    };
    Ok(Transition { next, effect })
}

#[cfg(test)]
mod tests {
    use miosa_api::error::ErrorCode;
    use miosa_api::sandbox::SandboxState;
    use proptest::prelude::*;

    use super::{Effect, Event, next};

    const EVENTS: [Event; 8] = [
        Event::Create,
        Event::Booted,
        Event::Failed,
        Event::Exited,
        Event::Pause,
        Event::Resume,
        Event::Stop,
        Event::Destroy,
    ];

    proptest! {
        /// Any story: processes exist exactly in creating, running and paused, and are frozen exactly in paused.
        #[test]
        fn no_story_leaves_state_and_world_apart(story in prop::collection::vec(0..EVENTS.len(), 0..40)) {
            let (mut state, mut alive, mut frozen) = (SandboxState::Creating, false, false);
            for index in story {
                let event = EVENTS[index];
                if event == Event::Booted && !(state == SandboxState::Creating && alive) {
                    continue; // Only a start that goes on can end well.
                }
                let Ok(step) = next(state, event) else { continue };
                match step.effect {
                    Effect::Boot => { prop_assert!(!frozen); alive = true; }
                    Effect::Freeze => { prop_assert!(alive && !frozen); frozen = true; }
                    Effect::Thaw => { prop_assert!(alive && frozen); frozen = false; }
                    Effect::Halt | Effect::Remove => { alive = false; frozen = false; }
                    Effect::None => {}
                }
                if event == Event::Failed && state == SandboxState::Creating { alive = false; }
                prop_assert!(state != SandboxState::Destroyed || step.next == SandboxState::Destroyed);
                state = step.next;
                match state {
                    SandboxState::Running => prop_assert!(alive && !frozen),
                    SandboxState::Paused => prop_assert!(alive && frozen),
                    SandboxState::Creating => prop_assert!(!frozen),
                    SandboxState::Stopped | SandboxState::Error | SandboxState::Destroyed => prop_assert!(!alive),
                }
            }
        }
    }

    #[test]
    fn refusals_have_the_codes_clients_act_on() {
        let refused = |state, event| next(state, event).expect_err("refused");
        assert_eq!(
            refused(SandboxState::Running, Event::Resume),
            ErrorCode::SandboxNotPaused
        );
        assert_eq!(
            refused(SandboxState::Creating, Event::Pause),
            ErrorCode::SandboxStarting
        );
        assert_eq!(
            refused(SandboxState::Stopped, Event::Pause),
            ErrorCode::SandboxNotRunning
        );
        assert_eq!(
            refused(SandboxState::Destroyed, Event::Resume),
            ErrorCode::NotFound
        );
    }

    #[test]
    fn everything_can_be_destroyed_and_destroying_twice_is_fine() {
        for state in [
            "creating",
            "running",
            "paused",
            "stopped",
            "error",
            "destroyed",
        ] {
            let state = SandboxState::parse(state).expect("a state");
            assert_eq!(
                next(state, Event::Destroy).expect("allowed").next,
                SandboxState::Destroyed
            );
        }
    }
}
