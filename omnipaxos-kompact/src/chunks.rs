//! Memory for what the network receives, which outlives the network thread.
//!
//! Kompact 0.12 hands received messages to components as references into the network thread's
//! buffers, and gives the buffers back when that thread ends: in `kill_system`, and whenever the
//! thread panics, which a single frame before the handshake, from anybody, makes it do. Messages
//! that still wait in a component's queue then point to freed memory, and reading them kills the
//! process. So these chunks are never freed. A network thread that runs reuses its buffers; what
//! is left behind is what one thread held when it ended, some hundred KiB where queues are short.

use kompact::net::buffers::{Chunk, ChunkAllocator};

/// Allocates chunks that live as long as the process.
#[derive(Debug)]
pub(crate) struct EverlastingChunks {
    chunk_size: usize,
}

impl EverlastingChunks {
    pub(crate) fn new(chunk_size: usize) -> Self {
        Self { chunk_size }
    }
}

#[derive(Debug)]
struct EverlastingChunk(Box<[u8]>);

impl Chunk for EverlastingChunk {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

#[expect(
    unsafe_code,
    reason = "the trait's method is declared unsafe; this one does nothing, so it cannot be misused"
)]
impl ChunkAllocator for EverlastingChunks {
    fn get_chunk(&self) -> *mut dyn Chunk {
        Box::into_raw(Box::new(EverlastingChunk(vec![0; self.chunk_size].into())))
    }

    unsafe fn release(&self, _: *mut dyn Chunk) {}
}
