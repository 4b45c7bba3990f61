//! A long text down, searched for the credential and not, and how soon it begins.

use anyhow::{Context as _, Result};

use super::Row;
use super::load::output;
use super::peers::{BIG_BYTES, TUNNEL_HOST};
use super::sample::median;
use super::side::Side;

const ROUNDS: usize = 5;

/// How a text comes.
struct Way<'a> {
    what: &'static str,
    side: &'a Side,
    host: &'a str,
    has_credential: bool,
}

/// Measures miosa in each way, and nginx.
pub async fn measure(miosa: &Side, nginx: &Side) -> Result<Vec<Row>> {
    let way = |what, side, host, has_credential| Way {
        what,
        side,
        host,
        has_credential,
    };
    let ways = [
        way("intercepted and searched", miosa, miosa.host.as_str(), true),
        way(
            "intercepted, no credential",
            miosa,
            miosa.host.as_str(),
            false,
        ),
        way("tunnel", miosa, TUNNEL_HOST, false),
        way("proxied", nginx, nginx.host.as_str(), true),
    ];
    let mut speeds: [Vec<f64>; 4] = Default::default();
    let mut firsts: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for ((way, speeds), firsts) in ways.iter().zip(&mut speeds).zip(&mut firsts) {
            let (speed, first) = way.down().await?;
            speeds.push(speed);
            firsts.push(first);
        }
    }
    let what = format!("{} MiB of text down", BIG_BYTES >> 20);
    let mut rows = table(&what, "MiB/s", &ways, &speeds);
    rows.extend(table(
        "first byte of it after the request",
        "ms",
        &ways,
        &firsts,
    ));
    Ok(rows)
}

/// Each way; the ratio is that of the first, searched, to it.
fn table(what: &str, unit: &'static str, ways: &[Way], figures: &[Vec<f64>]) -> Vec<Row> {
    let rows = ways
        .iter()
        .zip(figures)
        .enumerate()
        .map(|(index, (way, theirs))| {
            let ratios = figures[0]
                .iter()
                .zip(theirs)
                .map(|(own, theirs)| own / theirs);
            Row {
                what: format!("{what}, {}", way.what),
                who: way.side.who.to_owned(),
                value: median(theirs.iter().copied()),
                unit,
                high: None,
                ratio: (index > 0).then(|| median(ratios)),
            }
        });
    rows.collect()
}

impl Way<'_> {
    /// MiB a second, and milliseconds to the first byte.
    async fn down(&self) -> Result<(f64, f64)> {
        let Side {
            inside,
            authorization,
            port,
            ..
        } = self.side;
        // The credential belongs to the endpoint; the rest of its host is read without one.
        let (header, path) = if self.has_credential {
            (
                format!("-H 'Authorization: {authorization}'"),
                "/v1/models/big",
            )
        } else {
            (String::new(), "/big")
        };
        let text = output(&format!(
            "{inside} curl -skf {header} -o /dev/null -w '%{{speed_download}} %{{time_pretransfer}} %{{time_starttransfer}} %{{size_download}}' https://{}:{port}{path}",
            self.host
        ))
        .await?;
        let numbers = text.split_whitespace().map(str::parse);
        let numbers = numbers.collect::<Result<Vec<f64>, _>>()?;
        let [speed, sent, first, size] = numbers[..] else {
            anyhow::bail!("not four numbers: {text}");
        };
        #[expect(clippy::cast_precision_loss, reason = "a size far below 2^52")]
        let whole = BIG_BYTES as f64;
        (size >= whole)
            .then_some(())
            .context("not the whole text")?;
        Ok((speed / f64::from(1 << 20), (first - sent) * 1000.0))
    }
}
