//! Whether a connection has anything to do: HTTP/2 has no end of its own for one that is only kept
//! alive.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Counts the requests of a connection that are being answered.
#[derive(Clone, Debug, Default)]
pub struct Requests(watch::Sender<usize>);

/// A request being answered, counted until it is dropped.
#[derive(Debug)]
pub struct Busy(watch::Sender<usize>);

impl Requests {
    /// Counts one more.
    pub fn begin(&self) -> Busy {
        self.0.send_modify(|open| *open += 1);
        Busy(self.0.clone())
    }

    /// Returns when there has been no request for so long.
    pub async fn idle(&self, patience: Duration) {
        let mut open = self.0.subscribe();
        loop {
            // The sender is ours: it cannot be gone.
            open.wait_for(|open| *open == 0).await.ok();
            if timeout(patience, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::time::sleep;

    #[tokio::test]
    async fn a_connection_is_idle_only_when_no_request_has_been_open_for_long_enough() {
        let (requests, began) = (Requests::default(), Instant::now());
        let busy = requests.begin();
        let working = async {
            sleep(Duration::from_millis(200)).await;
            drop(busy);
        };
        tokio::join!(requests.idle(Duration::from_millis(100)), working);
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    }
}
