//! Runs futures until nothing moves any more: without a clock or a thread, so that the same bytes
//! always give the same run.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use hyper::rt::Executor as Spawn;
use tokio::runtime::{EnterGuard, Runtime};

/// More rounds than any honest run needs.
const ROUNDS_MAX: usize = 100_000;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes tasks from hyper.
#[derive(Clone, Default)]
pub struct Spawner(Arc<Mutex<Vec<Task>>>);

/// All tasks of one run.
pub struct Executor {
    pub spawner: Spawner,
    tasks: Vec<Task>,
    is_woken: Arc<Flag>,
    _timers: EnterGuard<'static>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<F> Spawn<F> for Spawner
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        let task = Box::pin(async move { drop(future.await) });
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(task);
    }
}

impl Executor {
    /// One without tasks. Timers can be made and never go off.
    pub fn new() -> Self {
        static TIMERS: LazyLock<Runtime> = LazyLock::new(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime
                .enable_time()
                .build()
                .expect("a runtime without I/O")
        });
        Self {
            spawner: Spawner::default(),
            tasks: Vec::new(),
            is_woken: Arc::new(Flag(AtomicBool::new(false))),
            _timers: TIMERS.enter(),
        }
    }

    /// Runs until every task waits for something that will not come by itself.
    pub fn settle(&mut self) {
        let waker = Waker::from(Arc::clone(&self.is_woken));
        let mut context = Context::from_waker(&waker);
        for _ in 0..ROUNDS_MAX {
            self.is_woken.0.store(false, Ordering::Relaxed);
            self.tasks
                .retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            let mut fresh = self
                .spawner
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if fresh.is_empty() && !self.is_woken.0.load(Ordering::Relaxed) {
                return;
            }
            self.tasks.append(&mut fresh);
        }
        panic!("a connection is busy for ever");
    }
}
