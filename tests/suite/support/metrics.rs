//! What the application says of itself at `/metrics`.

use super::{Answer, App, eventually};

impl App {
    /// The sum over all series of that name whose labels contain `label` (such as `outcome="woken"`, or nothing).
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = Answer::to(self.http.get(self.url("/metrics"))).await.text;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (series_name, labels) = series.split_once('{').unwrap_or((series, ""));
            (series_name == name && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    /// Waits until that many requests are held.
    pub async fn wait_for_held(&self, held: usize) {
        eventually(
            async || self.metric("payquery_held_requests", "").await,
            |now| *now == held as f64,
        )
        .await;
    }
}
