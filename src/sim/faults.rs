//! Faults that wait for their request.

/// A queue of faults, each for requests under one prefix and for a number of times.
#[derive(Debug)]
pub(super) struct FaultQueue<F>(Vec<Queued<F>>);

#[derive(Debug)]
struct Queued<F> {
    prefix: String,
    fault: F,
    left: usize,
}

impl<F> Default for FaultQueue<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: Clone> FaultQueue<F> {
    /// Lets the next `times` requests under `prefix` (empty: any request) meet `fault`, after the faults queued earlier.
    pub(super) fn push(&mut self, prefix: &str, fault: F, times: usize) {
        if times > 0 {
            self.0.push(Queued { prefix: prefix.to_owned(), fault, left: times });
        }
    }

    /// The fault that a request for `name` meets, if one is queued for it.
    pub(super) fn take(&mut self, name: &str) -> Option<F> {
        let at = self.0.iter().position(|queued| name.starts_with(&queued.prefix))?;
        let queued = &mut self.0[at];
        queued.left -= 1;
        let fault = queued.fault.clone();
        if queued.left == 0 {
            self.0.remove(at);
        }
        Some(fault)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_a_request_under_its_prefix() {
        let mut queue = FaultQueue::default();
        queue.push("/b", 'x', 2);
        queue.push("", 'y', 1);
        assert_eq!(queue.take("/a"), Some('y'));
        assert_eq!(queue.take("/a"), None);
        assert_eq!(queue.take("/b/c"), Some('x'));
        assert_eq!(queue.take("/b"), Some('x'));
        assert_eq!(queue.take("/b"), None);
    }
}
