//! A batch: the events of one request, already in the form in which they travel.

use std::ops::Range;

use bytes::Bytes;

use super::event;

/// The most bytes of a request's body. The server takes 4 MB; a proxy before it may count headers too.
const MAX_BODY: usize = 3_500_000;
const HEAD: &str = "{\"batch\":[";
const TAIL: &str = "]}";

/// A batch that still takes events.
#[derive(Debug, Default)]
pub(super) struct Draft {
    body: String,
    events: Vec<Event>,
    source_bytes: u64,
}

/// A batch as it is sent; never empty. A copy is cheap.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// The request's body.
    pub(super) body: Bytes,
    /// Bytes of the input that it stands for, with the lines between its events that are not sent.
    pub(super) source_bytes: u64,
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Event {
    line: u64,
    place: Range<usize>,
}

impl Draft {
    /// Whether `event` can join, in a batch of at most `most` events.
    pub(super) fn has_room(&self, event: &str, most: usize) -> bool {
        self.events.len() < most && self.body.len() + 1 + event.len() + TAIL.len() <= MAX_BODY
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds an event's JSON text.
    pub(super) fn push(&mut self, line: u64, event: &str) {
        self.body.push_str(if self.is_empty() { HEAD } else { "," });
        let start = self.body.len();
        self.body.push_str(event);
        self.events.push(Event { line, place: start..self.body.len() });
    }

    /// Counts a line as dealt with.
    pub(super) fn cover(&mut self, source_bytes: u64) {
        self.source_bytes += source_bytes;
    }

    /// The batch, if it holds anything. The draft starts anew.
    pub(super) fn seal(&mut self) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        let Self { mut body, events, source_bytes } = std::mem::take(self);
        body.push_str(TAIL);
        Some(Batch { body: body.into(), source_bytes, events })
    }
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Its first and its last line.
    pub(super) fn lines(&self) -> (u64, u64) {
        let line = |event: Option<&Event>| event.map_or(0, |event| event.line);
        (line(self.events.first()), line(self.events.last()))
    }

    /// The line of an event.
    pub(super) fn line(&self, index: usize) -> Option<u64> {
        self.events.get(index).map(|event| event.line)
    }

    /// The message id of an event.
    pub(super) fn message_id(&self, index: usize) -> Option<String> {
        event::message_id(self.event(self.events.get(index)?))
    }

    /// Its two halves, in order; of a batch of one event, only one.
    pub(super) fn halves(&self) -> impl Iterator<Item = Self> {
        let (first, second) = self.events.split_at(self.len().div_ceil(2));
        [first, second].into_iter().filter_map(|events| {
            let mut draft = Draft::default();
            for event in events {
                draft.push(event.line, self.event(event));
            }
            draft.seal()
        })
    }

    fn event(&self, event: &Event) -> &str {
        str::from_utf8(&self.body[event.place.clone()]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_travel_as_they_are() {
        let mut draft = Draft::default();
        draft.push(3, r#"{"messageId":"a" }"#);
        draft.push(5, r#"{"messageId":"b"}"#);
        draft.push(6, r#"{"é":1.10}"#);
        let batch = draft.seal().unwrap();
        assert_eq!(batch.body, r#"{"batch":[{"messageId":"a" },{"messageId":"b"},{"é":1.10}]}"#);
        assert_eq!((batch.len(), batch.lines(), batch.line(1)), (3, (3, 6), Some(5)));
        assert_eq!((batch.message_id(1).as_deref(), batch.message_id(2)), (Some("b"), None));

        let halves: Vec<Batch> = batch.halves().collect();
        assert_eq!(halves[0].body, r#"{"batch":[{"messageId":"a" },{"messageId":"b"}]}"#);
        assert_eq!(halves[1].body, r#"{"batch":[{"é":1.10}]}"#);
        assert_eq!(halves[1].lines(), (6, 6));
        assert!(draft.seal().is_none());
    }

    #[test]
    fn a_body_stays_within_its_limit() {
        let event = format!("{{\"a\":\"{}\"}}", "x".repeat(32_000));
        let mut draft = Draft::default();
        for line in 1.. {
            if !draft.has_room(&event, 2_500) {
                break;
            }
            draft.push(line, &event);
        }
        let batch = draft.seal().unwrap();
        assert!(batch.body.len() <= MAX_BODY && batch.body.len() + event.len() + 1 > MAX_BODY);
    }
}
