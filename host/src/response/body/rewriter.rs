//! The way of a body: decode, rewrite, encode.

use super::coding::Coding;
use super::decode::Decoder;
use super::encode::Encoder;
use super::error::BodyError;
use super::links::{CssBody, HtmlBody};
use super::splice::Splicer;
use super::substitute::Substitute;

/// Bytes that one call of `feed` or `finish` appends at most.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// 256 KiB of plain bytes that one call handles at most, some milliseconds of work: a few kilobytes may unpack to
/// gigabytes that compress to next to nothing again, and other connections must have their turn.
const WORK_LIMIT: usize = 256 * 1024;

/// Plain bytes handled at a time, before and after rewriting.
const CHUNK: usize = 16 * 1024;

/// What is done to the plain bytes.
pub(super) enum Stage {
    Substitute(Substitute),
    Html(Box<HtmlBody>),
    Css(CssBody),
}

/// Rewrites one response's body.
pub struct BodyRewriter {
    decoder: Decoder,
    stage: Stage,
    splicer: Splicer,
    encoder: Encoder,
    decoded: Box<[u8]>,
    /// Rewritten bytes that the encoder has yet to take, from `taken` on.
    rewritten: Vec<u8>,
    taken: usize,
    /// Bytes that were consumed but not reported: while output is left over, the caller
    /// must have a reason to call again.
    owed: usize,
    ending: Ending,
    /// After an error nothing but that error is to be had.
    failed: Option<BodyError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Scanned,
    Done,
}

impl BodyRewriter {
    pub(super) fn new(coding: Coding, stage: Stage) -> Self {
        Self {
            decoder: Decoder::new(coding),
            stage,
            splicer: Splicer::default(),
            encoder: Encoder::new(coding),
            decoded: vec![0; CHUNK].into(),
            rewritten: Vec::new(),
            taken: 0,
            owed: 0,
            ending: Ending::No,
            failed: None,
        }
    }

    /// Consumes some of `input`, appends at most `OUTPUT_LIMIT` bytes to `out` and returns how many it consumed.
    /// While that is less than `input.len()`, write `out` away (it may be empty) and call again with the rest.
    /// When all is consumed, all that can be known of the output so far is in `out`, compressor flushed.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        self.guarded(|this| this.try_feed(input, out))
    }

    /// Ends the body, appending at most `OUTPUT_LIMIT` bytes. Until it returns `true`, write `out` away and
    /// call again.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, BodyError> {
        self.guarded(|this| this.try_finish(out))
    }

    fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, BodyError>,
    ) -> Result<T, BodyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        step(self).inspect_err(|error| self.failed = Some(*error))
    }

    fn try_feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        let full = out.len() + OUTPUT_LIMIT;
        let mut used = self.owed.min(input.len());
        self.owed -= used;
        let idle = self.pump(input, &mut used, out, full)?;
        if idle && self.encoder.flush(out, full - out.len())? {
            return Ok(used);
        }
        if used == input.len() && used > 0 {
            self.owed += 1;
            used -= 1;
        }
        Ok(used)
    }

    fn try_finish(&mut self, out: &mut Vec<u8>) -> Result<bool, BodyError> {
        let full = out.len() + OUTPUT_LIMIT;
        if self.ending == Ending::No {
            if !self.pump(&[], &mut 0, out, full)? {
                return Ok(false);
            }
            self.decoder.finish()?;
            self.scan(0, true)?;
            self.ending = Ending::Scanned;
        }
        let written = self.ending == Ending::Done || self.pump(&[], &mut 0, out, full)?;
        let room = full - out.len();
        // A stream without content stays one; only a body without bytes stays without.
        if written
            && (!self.decoder.has_started()
                || self.encoder.finish(self.decoder.is_zlib(), out, room)?)
        {
            self.ending = Ending::Done;
        }
        Ok(self.ending == Ending::Done)
    }

    /// Moves bytes until the input is used up (`true`), or `out` is full or the call has done enough (`false`).
    fn pump(
        &mut self,
        input: &[u8],
        used: &mut usize,
        out: &mut Vec<u8>,
        full: usize,
    ) -> Result<bool, BodyError> {
        let mut work = 0;
        loop {
            while self.taken < self.rewritten.len() {
                let room = full.saturating_sub(out.len());
                if room < ROOM {
                    return Ok(false);
                }
                let zlib = self.decoder.is_zlib();
                self.taken += self
                    .encoder
                    .write(&self.rewritten[self.taken..], zlib, out, room)?;
            }
            self.rewritten.clear();
            self.taken = 0;
            if work >= WORK_LIMIT {
                return Ok(false);
            }
            self.splicer.drain(&mut self.rewritten, CHUNK);
            work += self.rewritten.len();
            if !self.rewritten.is_empty() {
                continue;
            }
            if self.ending != Ending::No {
                return Ok(true);
            }
            let (read, made) = self.decoder.decode(&input[*used..], &mut self.decoded)?;
            *used += read;
            work += made;
            if made > 0 {
                self.scan(made, false)?;
            } else if read == 0 {
                return Ok(true);
            }
        }
    }

    /// Shows the stage the first `made` decoded bytes.
    fn scan(&mut self, made: usize, last: bool) -> Result<(), BodyError> {
        let bytes = &self.decoded[..made];
        match &mut self.stage {
            Stage::Substitute(substitute) => {
                self.splicer.push(bytes);
                substitute.scan(&mut self.splicer, last);
            }
            Stage::Html(html) => html.scan(bytes, &mut self.splicer, last)?,
            Stage::Css(css) => css.scan(bytes, &mut self.splicer, last),
        }
        Ok(())
    }
}

/// Room that the encoder must have to be worth calling: its header and a little.
const ROOM: usize = 64;
