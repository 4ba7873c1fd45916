//! Events as a shop's analytics library would send them: about 600 bytes each, as they happen.

use std::fmt::Write;

use chrono::{SecondsFormat, TimeDelta, Utc};

/// How many events a batch has.
pub(crate) const BATCH: usize = 500;

const NAMES: [&str; 6] = [
    "Product Viewed",
    "Product Viewed",
    "Product Viewed",
    "Product Added",
    "Checkout Started",
    "Order Completed",
];

/// The body of one batch. Two with the same `series` and `number` hold the same messages.
pub(crate) fn batch(series: &str, number: usize) -> String {
    let now = Utc::now();
    let mut body = String::with_capacity(BATCH * 640);
    body += r#"{"batch":["#;
    for place in 0..BATCH {
        let index = number * BATCH + place;
        // Spread by a multiplicative hash, so that people and amounts look like a shop's and are the same in every run.
        let spread = index.wrapping_mul(2_654_435_761) % 99_991;
        // Events of the last minute, the newest last.
        let time = now - TimeDelta::milliseconds(60_000 - place as i64 * 100);
        let _ = write!(
            body,
            concat!(
                r#"{comma}{{"type":"track","event":"{event}","messageId":"ajs-next-{series}-{index:012}","#,
                r#""userId":"customer-{user}","timestamp":"{time}","properties":{{"product_id":"sku-{product}","#,
                r#""revenue":{euros}.{cents:02},"currency":"EUR","quantity":{quantity},"coupon":null}},"#,
                r#""context":{{"library":{{"name":"analytics.js","version":"next-1.62.0"}},"locale":"en-GB","#,
                r#""page":{{"path":"/products/{product}","title":"Product {product}","#,
                r#""url":"https://shop.example/products/{product}"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) "#,
                r#"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"}}}}"#,
            ),
            comma = if place == 0 { "" } else { "," },
            event = NAMES[spread % NAMES.len()],
            series = series,
            index = index,
            user = spread % 5_000,
            time = time.to_rfc3339_opts(SecondsFormat::Millis, true),
            product = spread % 700,
            euros = spread % 90 + 5,
            cents = spread % 100,
            quantity = spread % 3 + 1,
        );
    }
    let _ = write!(body, r#"],"sentAt":"{}"}}"#, now.to_rfc3339_opts(SecondsFormat::Millis, true));
    body
}
