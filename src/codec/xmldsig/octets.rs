//! The octets that are hashed of one element of a message.

use super::DSIG;
use super::detached::{Name, Track};
use crate::codec::c14n::{Inherited, Sink};
use crate::codec::form::{Form, FormWriter};
use crate::codec::xml::{At, Event};
use crate::model::refusal::Refusal;

/// Writes what is hashed of the first element of a path while the events of its document go by.
pub(super) struct Octets<'a, S: Sink> {
    track: Track<'a>,
    form: &'a Form,
    /// Where the signature stands that is to be left out.
    holder: Option<Track<'a>>,
    /// Depth of that signature while it goes by.
    leaving: Option<usize>,
    inherited: Inherited,
    /// Before the element begins.
    sink: Option<S>,
    writer: Option<FormWriter<S>>,
    /// The element has ended.
    done: bool,
}

impl<'a, S: Sink> Octets<'a, S> {
    pub(super) fn new(
        sink: S,
        signed: &'a [Name<'a>],
        leave_out: Option<&'a [Name<'a>]>,
        form: &'a Form,
    ) -> Self {
        Self {
            track: Track::of(signed),
            form,
            holder: leave_out.map(Track::of),
            leaving: None,
            inherited: Inherited::default(),
            sink: Some(sink),
            writer: None,
            done: false,
        }
    }

    /// Whether the element has ended.
    pub(super) fn done(&self) -> bool {
        self.done
    }

    /// # Errors
    /// `SIG_C14N`, `SIG_LIMIT`: as [`FormWriter`].
    pub(super) fn event(&mut self, event: &Event<'_>, at: At<'_>) -> Result<(), Refusal> {
        if self.done {
            return Ok(());
        }
        self.track.event(event);
        if let Some(holder) = &mut self.holder {
            holder.event(event);
        }
        if !self.track.within() {
            self.inherited.event(event);
            return Ok(());
        }
        if let Some(sink) = self.sink.take() {
            self.writer = Some(FormWriter::within(sink, self.form, &self.inherited)?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let held = || self.holder.as_ref().is_some_and(Track::is_below);
        match event {
            Event::Start(start)
                if self.leaving.is_none() && start.is(DSIG, "Signature") && held() =>
            {
                writer.pause(at);
                self.leaving = Some(start.depth());
            }
            Event::End(end) if self.leaving == Some(end.depth()) => self.leaving = None,
            _ if self.leaving.is_some() => {}
            _ => writer.event(event, at)?,
        }
        self.done = matches!(event, Event::End(_)) && self.track.is_there();
        Ok(())
    }
}
