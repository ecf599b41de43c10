//! A timer for Kompact that sleeps.
//!
//! Kompact's own timer waits by yielding in a loop as long as anything is due within 256 ms. A
//! server has a tick every few milliseconds, so that thread would keep a core busy for good. This
//! one is Kompact's wheel, moved on by a thread that sleeps for a millisecond at a time.

use kompact::prelude::{KompactConfig, TimerRefFactory};
use kompact::runtime::{TimerComponent, TimerShutdownError};
use kompact::timer::{ManualTimer, TimerRef};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the thread sleeps; Kompact's wheel knows no less.
const RESOLUTION: Duration = Duration::from_millis(1);

/// How far the wheel moves at once. After a longer stall of the process timeouts are late rather
/// than many at once: nobody had a chance to answer meanwhile.
const STEP: Duration = Duration::from_millis(20);

/// Gives the system that `config` builds a timer that sleeps between timeouts.
///
/// [`kompact_config`](crate::network::kompact_config) does so already; this is for a configuration
/// that was made otherwise. A timeout may come early by as long as the thread slept last: about a
/// millisecond, never more than 20. Where the process gets no processor for longer than that,
/// timeouts come later by the rest, and `KompactSystem::now`, which is the wheel's clock, stays
/// behind for good.
///
/// Building the system panics where the operating system gives no thread, as with all of Kompact's
/// threads.
pub fn install_sleeping_timer(config: &mut KompactConfig) {
    config.timer::<SleepingTimer, _>(|| Box::new(SleepingTimer::start()));
}

/// Kompact's wheel and the thread that moves it on.
struct SleepingTimer {
    wheel: ManualTimer,
    stopped: Arc<AtomicBool>,
}

impl SleepingTimer {
    fn start() -> Self {
        let timer = Self { wheel: ManualTimer::new(), stopped: Arc::default() };
        let (wheel, stopped) = (timer.wheel.clone(), Arc::clone(&timer.stopped));
        std::thread::Builder::new()
            .name("timer".to_owned())
            .spawn(move || {
                let mut last = Instant::now();
                while !stopped.load(Ordering::Acquire) {
                    std::thread::sleep(RESOLUTION);
                    let now = Instant::now();
                    wheel.advance_by(now.duration_since(last).min(STEP));
                    last = now;
                }
            })
            .expect("a thread for the timer");
        timer
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wheel.stop();
    }
}

impl Drop for SleepingTimer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl TimerRefFactory for SleepingTimer {
    fn timer_ref(&self) -> TimerRef {
        self.wheel.timer_ref()
    }
}

impl TimerComponent for SleepingTimer {
    fn shutdown(&self) -> Result<(), TimerShutdownError> {
        self.stop();
        Ok(())
    }

    fn shutdown_notify<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<(), TimerShutdownError>> + Send + 'a>> {
        self.stop();
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kompact::prelude::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const TICK: Duration = Duration::from_millis(10);

    /// Counts so many ticks, and says how long they took.
    #[derive(ComponentDefinition)]
    struct Ticking {
        ctx: ComponentContext<Self>,
        left: u32,
        start: Instant,
        done: Option<KPromise<Duration>>,
    }

    impl Ticking {
        fn schedule_tick(&mut self) {
            self.schedule_once(TICK, |this, _| {
                this.left -= 1;
                if this.left > 0 {
                    this.schedule_tick();
                } else if let Some(done) = this.done.take() {
                    let _ = done.fulfil(this.start.elapsed());
                }
                Handled::OK
            });
        }
    }

    impl ComponentLifecycle for Ticking {
        fn on_start(&mut self) -> HandlerResult {
            self.start = Instant::now();
            self.schedule_tick();
            Handled::OK
        }
    }

    impl Actor for Ticking {
        type Message = Never;

        fn receive_local(&mut self, message: Never) -> HandlerResult {
            match message {}
        }

        fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
            Handled::OK
        }
    }

    /// How long so many ticks take; `look` is called before the system ends.
    fn ticks(count: u32, look: impl FnOnce()) -> Duration {
        let mut config = KompactConfig::default();
        install_sleeping_timer(&mut config);
        let system = config.build().wait_timeout(PATIENCE).ok().unwrap().unwrap();
        let (done, took) = promise();
        let start = Instant::now();
        let component = system.create(|| Ticking {
            ctx: ComponentContext::uninitialised(),
            left: count,
            start,
            done: Some(done),
        });
        system.start(&component);
        let took = took.wait_timeout(PATIENCE).unwrap();
        look();
        system.kill_system().unwrap();
        took
    }

    #[test]
    fn ticks_do_not_come_before_their_time() {
        // Each may be early by what the thread slept; the next one is scheduled after it.
        let took = ticks(20, || {});
        assert!(took + STEP >= 20 * TICK, "20 ticks of {TICK:?} took {took:?}");
    }

    /// What threads of this name have used of the processor, in hundredths of a second.
    #[cfg(target_os = "linux")]
    fn processor_time(name: &str) -> u64 {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let used = |task: std::fs::DirEntry| {
            // A thread may end meanwhile.
            let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
            let (head, tail) = stat.rsplit_once(") ")?;
            let fields: Vec<&str> = tail.split(' ').collect();
            head.ends_with(&format!("({name}"))
                .then(|| fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
        };
        tasks.filter_map(|task| used(task.unwrap())).sum()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn waiting_for_ticks_takes_no_core() {
        let mut used = 0;
        let took = ticks(100, || used = 10 * processor_time("timer"));
        // One that yields in a loop uses all the time that it waits.
        assert!(u128::from(used) * 4 <= took.as_millis(), "{used} ms of the {took:?} waited for");
    }

    #[test]
    fn the_thread_ends_with_the_system() {
        let timer = SleepingTimer::start();
        let stopped = Arc::clone(&timer.stopped);
        assert_eq!(Arc::strong_count(&stopped), 3);
        drop(timer);
        let deadline = Instant::now() + PATIENCE;
        while Arc::strong_count(&stopped) > 1 {
            assert!(Instant::now() < deadline, "the thread goes on");
            std::thread::yield_now();
        }
    }
}
