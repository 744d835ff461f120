//! A reader above TLS, which hands out 4 KiB or a record at a time however much has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes handed out at most before others have their turn: what is decrypted costs the runtime nothing that
/// it sees.
pub(super) const AT_ONCE: usize = 256 << 10;

/// Hands out all that is there, as a socket does: what follows takes a read that is short for the end of
/// what has come, unless it has [`AT_ONCE`].
pub(crate) struct Gathering<R> {
    pub(super) from: R,
    /// Came behind what was handed out.
    failed: Option<io::Error>,
}

impl<R> Gathering<R> {
    pub(crate) const fn new(from: R) -> Self {
        Self { from, failed: None }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Gathering<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        let begin = buffer.filled().len();
        while buffer.remaining() > 0 && buffer.filled().len() - begin < AT_ONCE {
            let before = buffer.filled().len();
            match Pin::new(&mut this.from).poll_read(context, buffer) {
                Poll::Pending if before == begin => return Poll::Pending,
                Poll::Ready(Err(error)) if before == begin => return Poll::Ready(Err(error)),
                Poll::Ready(Err(error)) => {
                    this.failed = Some(error);
                    break;
                }
                Poll::Ready(Ok(())) if buffer.filled().len() > before => {}
                // Nothing more has come for now, or for ever, which is said again when asked.
                Poll::Pending | Poll::Ready(Ok(())) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
