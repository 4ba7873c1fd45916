//! Counting attempts: in this process, or in Redis for all processes. Both count alike, a window that begins with the
//! first attempt.

mod memory;
mod redis;

pub use self::{memory::MemoryLimits, redis::RedisLimits};
