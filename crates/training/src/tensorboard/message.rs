//! Messages of TensorBoard in the wire format of protocol buffers.
//!
//! The numbers of the fields are those of `event.proto`, `summary.proto`, `tensor.proto` and `tensor_shape.proto` in
//! `tensorboard/compat/proto`.

/// A message under construction.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(mut self, field: u32, value: u64) -> Self {
        self.key(field, 0);
        self.number(value);
        self
    }

    fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, 1);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, 5);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        self.number(value.len() as u64);
        self.bytes.extend(value);
        self
    }

    fn message(self, field: u32, value: Self) -> Self {
        self.bytes(field, &value.bytes)
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.number(u64::from(field << 3 | kind));
    }

    /// Seven bits a byte, the lowest first; all but the last have the highest bit set.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// The first event of a file.
pub fn version(wall_time: f64) -> Vec<u8> {
    Message::default().double(1, wall_time).bytes(3, b"brain.Event:2").bytes
}

/// Tells that the run begins here: what a reader had of it before is void.
pub fn start(wall_time: f64) -> Vec<u8> {
    let status = Message::default().varint(1, 1);
    Message::default().double(1, wall_time).message(7, status).bytes
}

/// Numbers by their tags, after a step.
pub fn scalars(wall_time: f64, step: u64, values: &[(String, f64)]) -> Vec<u8> {
    let value = |(tag, value): &(String, f64)| Message::default().bytes(1, tag.as_bytes()).float(2, *value as f32);
    let summary = values.iter().map(value).fold(Message::default(), |summary, value| summary.message(1, value));
    event(wall_time, step, summary)
}

/// A text in Markdown.
pub fn text(wall_time: f64, tag: &str, text: &str) -> Vec<u8> {
    let plugin = Message::default().bytes(1, b"text");
    let shape = Message::default().message(2, Message::default().varint(1, 1));
    // Type 7 is a string.
    let tensor = Message::default().varint(1, 7).message(2, shape).bytes(8, text.as_bytes());
    let metadata = Message::default().message(1, plugin);
    let value = Message::default().bytes(1, tag.as_bytes()).message(8, tensor).message(9, metadata);
    event(wall_time, 0, Message::default().message(1, value))
}

fn event(wall_time: f64, step: u64, summary: Message) -> Vec<u8> {
    let event = Message::default().double(1, wall_time);
    // A field that is zero is left out.
    let event = if step == 0 { event } else { event.varint(2, step) };
    event.message(5, summary).bytes
}
