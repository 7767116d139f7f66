//! Reads a list page by page.

use crate::base::error::Result;

/// The pages of a list that `read` returns. `read` gets `None` for the first page, then the
/// position that the previous page returned.
pub struct Pages<R, C> {
    read: R,
    after: Option<C>,
    over: bool,
}

impl<R, C> Pages<R, C> {
    pub fn new<T, F>(read: R) -> Pages<R, C>
    where
        R: FnMut(Option<C>) -> F,
        F: Future<Output = Result<(Vec<T>, Option<C>)>>,
    {
        Pages {
            read,
            after: None,
            over: false,
        }
    }

    /// The next page, which may be empty; `None` after the last one.
    ///
    /// # Errors
    /// As `read`. The list ends there.
    pub async fn next<T, F>(&mut self) -> Result<Option<Vec<T>>>
    where
        R: FnMut(Option<C>) -> F,
        F: Future<Output = Result<(Vec<T>, Option<C>)>>,
    {
        if self.over {
            return Ok(None);
        }
        self.over = true;
        let (rows, next) = (self.read)(self.after.take()).await?;
        self.over = next.is_none();
        self.after = next;
        Ok(Some(rows))
    }
}
