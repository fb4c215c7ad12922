//! One request before the rules of its profile: how much of its body is waited
//! for, what may go on to a server, and what may not yet. Of its answer `answer` tells.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tidegate_waf::{Logs, Transaction};

use super::answer::Answer;
use super::config::{Files, Mode, Over};
use super::judge::Judge;
use super::memory::{Memory, Share};
use super::{Answered, Blocked, Findings, Profile};
use crate::networks::ClientKey;

/// How many times as much as is judged of a body is judged before its end at most, since each
/// verdict between files judges anew what was said before: a form that needs more has no other use.
const MOST_TIMES: u64 = 64;

/// One request before the rules. It keeps the profile that it began with.
#[derive(Debug)]
pub(crate) struct Inspection {
    profile: Arc<Profile>,
    judge: Judge,
    state: State,
    // Bytes of the body that were shown to the rules, or would have been, files aside.
    counted: u64,
    // Bytes of the body that were taken. Invariant: `held` are the last of them.
    taken: u64,
    held: BytesMut,
    // Bytes before `held` that may go on, and that nobody else will send.
    unsent: BytesMut,
    // How far into the body the next piece of this attempt begins.
    at: u64,
    // Bytes that were judged before the end, each time counted.
    judged: u64,
    share: Option<Share>,
    answer: Answer,
}

/// What becomes of the next piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is kept.
    Holding,
    /// The same, unless it is content of a file and nothing else is kept.
    Streaming,
    /// It goes on.
    Done,
}

/// What is known of a body before it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coming {
    /// There is none, or none that anybody would read or judge.
    Nothing,
    /// So many bytes.
    Bytes(u64),
    /// Some; how many only its end tells.
    Some,
}

/// Whether there is anything to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// More of the body has to come.
    Wait,
    /// What has come may go on.
    Pass,
}

impl Inspection {
    pub(super) fn new(profile: Arc<Profile>, judge: Judge) -> Self {
        Inspection {
            profile,
            judge,
            state: State::Holding,
            counted: 0,
            taken: 0,
            held: BytesMut::new(),
            unsent: BytesMut::new(),
            at: 0,
            judged: 0,
            share: None,
            answer: Answer::default(),
        }
    }

    /// Whether rules that log look at what is answered, judged or not.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.profile.logs == Logs::Answered
    }

    /// Ends the inspection; what was found in all, by rules that log as well.
    pub(crate) fn conclude(mut self, answered: Option<&Answered<'_>>) -> Findings {
        match self.profile.logs {
            Logs::Silent => self.judge.findings(),
            Logs::Judged | Logs::Answered => self.finish(answered),
        }
    }

    /// Runs the rules that log, of which the verdict knows nothing.
    pub(super) fn finish(&mut self, answered: Option<&Answered<'_>>) -> Findings {
        self.judge.finish(answered)
    }

    /// The scores of the request and of its answer, where the rules keep them.
    pub(super) fn scores(&self) -> [Option<i64>; 2] {
        self.judge.scores()
    }

    /// The rules' own view of the request.
    pub(super) fn engine(&self) -> &Transaction {
        self.judge.engine()
    }

    /// Says what comes; what is kept of it counts as this client's.
    pub(crate) fn expect(
        &mut self,
        coming: Coming,
        memory: &Arc<Memory>,
        client: Option<ClientKey>,
    ) -> Result<Step, Blocked> {
        let inspect = self.profile.body.inspect.0;
        let is_over = matches!(coming, Coming::Bytes(bytes) if bytes > inspect);
        if self.judges_answer() {
            self.answer = Answer::with(memory.share(client));
        }
        if coming == Coming::Nothing || inspect == 0 {
            self.end(None)?;
            return Ok(Step::Pass);
        }
        if is_over && !self.streams_files() && self.profile.body.over != Over::InspectPrefix {
            self.be_over(None)?;
            return Ok(Step::Pass);
        }
        self.share = Some(memory.share(client));
        Ok(Step::Wait)
    }

    /// Takes the next piece of the body, and keeps it until it may go on.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<Step, Blocked> {
        let counted = self.count(piece);
        self.taken += piece.len() as u64;
        let is_content = counted == 0 && self.held.is_empty();
        if is_content && self.state == State::Streaming {
            // It needs no place: it goes on as it is.
            self.held.extend_from_slice(piece);
            return Ok(Step::Pass);
        }
        self.held.extend_from_slice(piece);
        if let Some(share) = &mut self.share
            && let Err(full) = share.grow(piece.len())
        {
            return self.leave_rest(full, None).map(|()| Step::Pass);
        }
        let inspect = self.profile.body.inspect.0;
        if self.counted > inspect {
            self.be_over(None)?;
            return Ok(Step::Pass);
        }
        if self.held.len() as u64 <= inspect {
            return Ok(Step::Wait);
        }
        // So much is kept only because of files, which are not to be.
        self.judged += self.counted;
        if self.judged > inspect.saturating_mul(MOST_TIMES) {
            return self.leave_rest(Blocked::Over, None).map(|()| Step::Pass);
        }
        self.judge.request_so_far()?;
        self.state = State::Streaming;
        Ok(Step::Pass)
    }

    /// The body has ended, but for this byte which was not taken.
    pub(crate) fn end(&mut self, last: Option<u8>) -> Result<(), Blocked> {
        if self.state == State::Done {
            return Ok(());
        }
        if let Some(last) = last {
            self.count(&[last]);
            if self.counted > self.profile.body.inspect.0 {
                return self.be_over(Some(last));
            }
        }
        self.state = State::Done;
        self.show(last);
        self.judge.request_end()
    }

    /// What was taken before there was a server goes on: by whoever keeps it for
    /// servers anyway, or else by the first piece that follows.
    pub(crate) fn settle(&mut self, is_kept: bool) {
        let held = self.release();
        if !is_kept {
            self.unsent = held;
        } else if let Some(share) = &mut self.share {
            share.clear();
        }
    }

    /// Whether nothing more of the request is to be done.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Done && self.unsent.is_empty()
    }

    /// Whether the answer is to be judged, too.
    pub(crate) fn judges_answer(&self) -> bool {
        self.profile.responses
    }

    /// Judges the head of the answer: whether the client is to wait for the verdict on its body.
    pub(crate) fn answer_head(&mut self, answered: &Answered<'_>) -> Result<Step, Blocked> {
        self.answer.head(answered, &self.profile, &mut self.judge)
    }

    /// Whether more of the answer's body is to be judged.
    pub(crate) fn is_answer_open(&self) -> bool {
        self.answer.is_open()
    }

    /// Takes the next piece of that body; with [`Step::Pass`] it need not be kept any more.
    pub(crate) fn answer_piece(&mut self, piece: &[u8]) -> Result<Step, Blocked> {
        self.answer.take(piece, &self.profile, &mut self.judge)
    }

    /// That body has ended.
    pub(crate) fn answer_end(&mut self) -> Result<(), Blocked> {
        self.answer.end(&self.profile, &mut self.judge)
    }

    /// What was kept of that body, for the client.
    pub(crate) fn answer_kept(&mut self) -> Bytes {
        self.answer.release()
    }

    /// Another attempt begins; it sends the body from its beginning if that `is_kept`.
    pub(crate) fn begin_attempt(&mut self, is_kept: bool) {
        self.at = if is_kept { 0 } else { self.taken };
    }

    /// Makes the next piece that was to go to a server what may go; the same for
    /// pieces that go to a second one again.
    pub(crate) fn pass(&mut self, body: &mut Option<Bytes>, is_last: bool) -> Result<(), Blocked> {
        if self.is_over() {
            return Ok(());
        }
        let piece = body.take().unwrap_or_default();
        let passed = self.taken - self.held.len() as u64;
        // What of it was judged before, and what was taken before.
        let known = |until: u64| {
            let known = usize::try_from(until.saturating_sub(self.at)).unwrap_or(usize::MAX);
            known.min(piece.len())
        };
        let (judged, taken) = (known(passed), known(self.taken));
        self.at += piece.len() as u64;
        let mut sent = std::mem::take(&mut self.unsent);
        sent.extend_from_slice(&piece[..judged]);
        let new = &piece[taken..];
        if self.state == State::Done {
            sent.extend_from_slice(new);
        } else if !new.is_empty() && self.take(new)? == Step::Pass {
            sent.unsplit(self.release());
        }
        if is_last && self.state != State::Done {
            self.end(None)?;
            sent.unsplit(self.release());
        }
        if let (true, Some(share)) = (self.held.is_empty(), &mut self.share) {
            share.clear();
        }
        // Nothing at all would be the end of the body.
        *body = (!sent.is_empty() || !is_last).then(|| sent.freeze());
        Ok(())
    }

    fn release(&mut self) -> BytesMut {
        std::mem::take(&mut self.held)
    }

    /// How much of a piece counts.
    fn count(&mut self, piece: &[u8]) -> u64 {
        let counted = if self.streams_files() {
            // What of it is content of files, only the rules know.
            self.judge.request_body(piece)
        } else {
            piece.len() as u64
        };
        self.counted += counted;
        counted
    }

    /// Shows the rules a body that may hold no files, as far as they may see it: not
    /// before it is to be judged, for until then it would be kept twice.
    fn show(&mut self, last: Option<u8>) {
        if self.streams_files() {
            return;
        }
        let inspect = usize::try_from(self.profile.body.inspect.0).unwrap_or(usize::MAX);
        self.judge.request_body(self.held.get(..inspect).unwrap_or(&self.held));
        if let Some(last) = last.filter(|_| self.held.len() < inspect) {
            self.judge.request_body(&[last]);
        }
    }

    fn streams_files(&self) -> bool {
        self.profile.body.files == Files::Stream && self.judge.may_hold_files()
    }

    /// The body has more than is judged.
    fn be_over(&mut self, last: Option<u8>) -> Result<(), Blocked> {
        match self.profile.body.over {
            Over::InspectPrefix => {
                self.show(last);
                self.judge.cut_body();
            }
            Over::Pass => self.judge.forget_body(),
            Over::Block => return self.leave_rest(Blocked::Over, last),
        }
        self.state = State::Done;
        self.judge.request_end()
    }

    /// Judges no more of the body, which is refused for that; who only detects
    /// notes it, and does with what there is.
    fn leave_rest(&mut self, why: Blocked, last: Option<u8>) -> Result<(), Blocked> {
        self.state = State::Done;
        if self.profile.mode == Mode::Block {
            return Err(why);
        }
        self.judge.detect(why);
        self.show(last);
        self.judge.cut_body();
        self.judge.request_end()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
    use tidegate_waf::RuleSet;
    use tidegate_waf::parse::{NoFiles, Reader};

    use super::super::config::Body;
    use super::super::{Asked, Mode};
    use super::*;
    use crate::sanitise::{Head, Strict};

    const RULES: &str = "SecRequestBodyLimitAction ProcessPartial\n\
                         SecRule REQBODY_ERROR \"@eq 1\" \"id:8,phase:2,deny\"\n\
                         SecRule ARGS \"@contains attack\" \"id:7,phase:2,deny\"";

    /// The inspection of a form by a profile whose `body` is this.
    fn inspection(body: &str) -> Inspection {
        let (inspection, step) = by_profile(Mode::Block, body, &Arc::default());
        assert_eq!(step, Step::Wait);
        inspection
    }

    /// Whose bodies are counted.
    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    /// The same with what is kept already.
    fn by_profile(mode: Mode, body: &str, memory: &Arc<Memory>) -> (Inspection, Step) {
        let body: Body = serde_yaml::from_str(body).expect("well-formed");
        let engine = if mode == Mode::Block { "On" } else { "DetectionOnly" };
        let rules = format!("{RULES}\nSecRuleEngine {engine}");
        let mut inspection = begun(Profile { mode, body, ..profile(&rules) });
        let step = inspection.expect(Coming::Some, memory, Some(CLIENT.into())).expect("room");
        (inspection, step)
    }

    fn profile(rules: &str) -> Profile {
        let mut reader = Reader::new(&NoFiles, &|_| false);
        reader.text("rules".as_ref(), rules.as_bytes());
        let tree = reader.finish().expect("rules");
        let rules = RuleSet::compile(&tree, &NoFiles, &|_| false).expect("rules");
        let (responses, logs) = (rules.answers().are_read, Logs::Silent);
        let (rules, body, warnings) = (Arc::new(rules), Body::default(), Vec::new());
        Profile { mode: Mode::Block, body, responses, logs, rules, warnings }
    }

    /// A good head is judged.
    fn begun(profile: Profile) -> Inspection {
        let kind = HeaderValue::from_static("multipart/form-data; boundary=b");
        let host = HeaderValue::from_static("a.example");
        let fields = HeaderMap::from_iter([(header::CONTENT_TYPE, kind), (header::HOST, host)]);
        let (method, uri) = (Method::POST, Uri::from_static("/"));
        let head = Head::read(&method, &uri, Version::HTTP_11, &fields, &Strict::default());
        let address = SocketAddr::new(CLIENT, 1);
        let asked = Asked {
            head: &head.expect("sound"),
            target: "/",
            version: Version::HTTP_11,
            client: address,
            server: address,
            request_id: "1",
        };
        let (inspection, verdict) = Arc::new(profile).inspect(&asked);
        verdict.expect("a good head");
        inspection
    }

    /// A form of fields and files, and what of it is said beside files.
    fn form(random: &mut fastrand::Rng, last: &str) -> Vec<u8> {
        let mut form = String::new();
        for part in 0..random.usize(0..6) {
            let file = if random.bool() { "; filename=\"f\"" } else { "" };
            let size = random.usize(0..3000);
            form +=
                &format!("--b\r\nContent-Disposition: form-data; name=\"{part}\"{file}\r\n\r\n");
            form += &"y".repeat(size);
            form += "\r\n";
        }
        form += &format!(
            "--b\r\nContent-Disposition: form-data; name=\"last\"\r\n\r\n{last}\r\n--b--\r\n"
        );
        form.into_bytes()
    }

    fn split(random: &mut fastrand::Rng, mut bytes: &[u8]) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(random.usize(1..=bytes.len().min(700)));
            pieces.push(Bytes::copy_from_slice(piece));
            bytes = rest;
        }
        pieces
    }

    /// Sends a body as the conductor does, to a second server if the first fails
    /// at some piece; what the last of them got, or why it was refused.
    fn send(random: &mut fastrand::Rng, body: &[u8], is_kept: bool) -> Result<Vec<u8>, Blocked> {
        let mut inspection = inspection("{ inspect: 1KiB }");
        let mut pieces = split(random, body).into_iter();
        let mut read = Vec::new();
        let mut is_whole = false;
        loop {
            let Some(piece) = pieces.next() else {
                inspection.end(None)?;
                is_whole = true;
                break;
            };
            read.push(piece.clone());
            if inspection.take(&piece)? == Step::Pass {
                break;
            }
        }
        inspection.settle(is_kept);
        let rest: Vec<Bytes> = pieces.collect();
        let fails_at = if is_kept { random.usize(0..=rest.len()) } else { usize::MAX };
        inspection.begin_attempt(is_kept);
        let first = if is_kept { read.concat() } else { Vec::new() };
        let all: Vec<Bytes> = [vec![Bytes::from(first)], rest].concat();
        let mut sent = attempt(&mut inspection, &all, all.len().min(fails_at.saturating_add(1)))?;
        if fails_at < all.len() {
            // What was read is kept, and comes again as one piece.
            let (again, rest) = all.split_at(fails_at + 1);
            inspection.begin_attempt(true);
            let all = [vec![Bytes::from(again.concat())], rest.to_vec()].concat();
            sent = attempt(&mut inspection, &all, all.len())?;
        }
        assert!(!is_whole || inspection.is_over());
        Ok(sent)
    }

    fn attempt(
        inspection: &mut Inspection,
        pieces: &[Bytes],
        until: usize,
    ) -> Result<Vec<u8>, Blocked> {
        let mut sent = Vec::new();
        for (index, piece) in pieces.iter().enumerate().take(until) {
            let mut body = Some(piece.clone());
            inspection.pass(&mut body, index + 1 == pieces.len())?;
            sent.extend_from_slice(&body.unwrap_or_default());
        }
        Ok(sent)
    }

    #[test]
    fn every_byte_goes_on_once_however_it_comes_and_is_sent_again() {
        let mut random = fastrand::Rng::with_seed(7);
        for case in 0..2000 {
            let body = form(&mut random, "good");
            let sent = send(&mut random, &body, case % 2 == 0).expect("no attack");
            assert!(sent == body, "{case}: {} of {} bytes", sent.len(), body.len());
        }
    }

    #[test]
    fn an_attack_behind_files_is_found_however_it_comes() {
        let mut random = fastrand::Rng::with_seed(8);
        for case in 0..2000 {
            let body = form(&mut random, "attack");
            // As long as what is said beside files is all judged.
            if beside_files(&body) <= 1024 {
                let refused = send(&mut random, &body, case % 2 == 0).expect_err("an attack");
                assert_eq!(refused, Blocked::Rule("7".into()), "{case}");
            }
        }
    }

    fn beside_files(body: &[u8]) -> usize {
        let text = std::str::from_utf8(body).expect("text");
        let parts = text.split("--b\r\n").filter(|part| !part.contains("filename"));
        let heads = text.matches("--b").count() * 60;
        parts.map(str::len).sum::<usize>() + heads
    }

    /// A form whose files are each larger than what is judged of a body of 64 KiB, behind a field.
    fn large_files(field: usize, files: usize) -> Vec<String> {
        let part = |kind: &str, size: usize| {
            let head = "--b\r\nContent-Disposition: form-data; name=\"f\"";
            format!("{head}{kind}\r\n\r\n{}\r\n", "y".repeat(size))
        };
        let mut parts = vec![part("", field)];
        parts.resize(1 + files, part("; filename=\"f\"", 66_000));
        parts
    }

    #[test]
    fn a_prefix_is_no_body_that_breaks_off() {
        let part = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
        for (value, expected) in
            [("good", Ok(Step::Pass)), ("attack", Err(Blocked::Rule("7".into())))]
        {
            let body = format!("{part}{value}{}\r\n--b--\r\n", "x".repeat(2000));
            let mut inspection = inspection("{ inspect: 1KiB, files: keep }");
            assert_eq!(inspection.take(body.as_bytes()), expected);
        }
    }

    #[test]
    fn nobody_has_the_same_judged_again_and_again() {
        for (field, files, expected) in [(58_000, 80, Some(Blocked::Over)), (10, 100, None)] {
            let mut inspection = inspection("{ inspect: 64KiB }");
            let parts = large_files(field, files);
            let refused = parts.iter().find_map(|part| inspection.take(part.as_bytes()).err());
            assert_eq!(refused, expected, "{field}");
        }
    }

    /// Sends these pieces to a server while they come; what it got.
    fn pass_all(inspection: &mut Inspection, pieces: &[&str]) -> Vec<u8> {
        inspection.settle(false);
        inspection.begin_attempt(false);
        let pieces: Vec<Bytes> =
            pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        attempt(inspection, &pieces, pieces.len()).expect("nothing is refused")
    }

    #[test]
    fn what_went_on_takes_no_memory() {
        let part = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ngood\r\n--b--\r\n";
        for is_kept in [true, false] {
            let memory = Arc::default();
            let (mut inspection, _) = by_profile(Mode::Block, "{}", &memory);
            assert_eq!(inspection.take(part.as_bytes()), Ok(Step::Wait));
            assert_eq!(memory.used(), part.len());
            inspection.end(None).expect("no attack");
            inspection.settle(is_kept);
            if !is_kept {
                inspection.begin_attempt(false);
                let sent = attempt(&mut inspection, &[Bytes::new()], 1).expect("no attack");
                assert_eq!(sent, part.as_bytes());
            }
            assert_eq!(memory.used(), 0, "{is_kept}");
        }
        // Of files that stream nothing is kept for long.
        let memory = Arc::default();
        let (mut inspection, _) = by_profile(Mode::Block, "{ inspect: 64KiB }", &memory);
        inspection.settle(false);
        inspection.begin_attempt(false);
        for (index, part) in large_files(10, 10).into_iter().enumerate() {
            inspection.pass(&mut Some(part.into()), false).expect("no attack");
            assert!(index == 0 || memory.used() == 0, "{index}: {}", memory.used());
        }
    }

    #[test]
    fn who_only_detects_lets_a_body_pass_that_is_too_much_to_judge() {
        let (mut inspection, _) = by_profile(Mode::Detect, "{ inspect: 64KiB }", &Arc::default());
        let parts = large_files(58_000, 80);
        let pieces: Vec<&str> = parts.iter().map(String::as_str).collect();
        assert!(pass_all(&mut inspection, &pieces) == pieces.concat().into_bytes());
        assert!(inspection.is_over());
        assert_eq!(inspection.conclude(None).detected, Some(Blocked::Over));
    }

    #[test]
    fn who_only_detects_lets_a_body_pass_that_there_is_no_room_for() {
        const ALL_OF_CLIENT: usize = 16 << 20;
        let attack = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nattack\r\n";
        for (mode, refused) in [(Mode::Block, true), (Mode::Detect, false)] {
            let memory = Arc::new(Memory::default());
            let mut others = memory.share(Some(CLIENT.into()));
            others.grow(ALL_OF_CLIENT).expect("room");
            let (mut inspection, step) = by_profile(mode, "{}", &memory);
            assert_eq!(step, Step::Wait);
            let taken = inspection.take(attack.as_bytes());
            let expected = if refused { Err(Blocked::ClientFull) } else { Ok(Step::Pass) };
            assert_eq!(taken, expected);
            if refused {
                drop(inspection);
            } else {
                inspection.settle(false);
                inspection.begin_attempt(false);
                let rest = [Bytes::from("more"), Bytes::from("--b--\r\n")];
                let sent = attempt(&mut inspection, &rest, 2).expect("nothing is refused");
                assert_eq!(sent, [attack.as_bytes(), b"more--b--\r\n"].concat());
                // What came before is judged.
                let detected = inspection.conclude(None).detected;
                assert_eq!(detected, Some(Blocked::Rule("7".into())));
            }
            drop(others);
            assert_eq!(memory.used(), 0);
        }
    }

    #[test]
    fn what_is_kept_of_an_answer_counts_and_so_does_what_the_rules_have_of_it() {
        const RULES: &str = "SecResponseBodyAccess On\n\
            SecRule RESPONSE_BODY \"@contains attack\" \"id:7,phase:4,deny\"";
        let plain = vec![b'x'; 10_000];
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).expect("compressed");
        let gzip = encoder.finish().expect("compressed");
        // Who only detects has let a piece go before it is judged, and the rest when it ends.
        for (mode, coding, body, held, judged) in [
            (Mode::Block, "identity", &plain, 2 * plain.len(), 2 * plain.len()),
            (Mode::Block, "gzip", &gzip, gzip.len(), gzip.len() + plain.len()),
            (Mode::Detect, "identity", &plain, plain.len(), 0),
            (Mode::Detect, "gzip", &gzip, gzip.len(), 0),
        ] {
            let about = (mode, coding);
            let is_held = mode == Mode::Block;
            let step = if is_held { Step::Wait } else { Step::Pass };
            let memory = Arc::new(Memory::default());
            let mut inspection = begun(Profile { mode, ..profile(RULES) });
            inspection.expect(Coming::Nothing, &memory, None).expect("a good request");
            let headers = HeaderMap::from_iter([
                (header::CONTENT_TYPE, HeaderValue::from_static("text/html")),
                (header::CONTENT_ENCODING, HeaderValue::from_static(coding)),
            ]);
            let (status, version) = (StatusCode::OK, Version::HTTP_11);
            let answered = Answered { status, version, headers: &headers, body: Coming::Some };
            assert_eq!(inspection.answer_head(&answered), Ok(step));
            assert_eq!(inspection.answer_piece(body), Ok(step));
            assert_eq!(memory.used(), held, "{about:?}");
            inspection.answer_end().expect("a good answer");
            assert_eq!(memory.used(), judged, "{about:?}");
            let kept = if is_held { body.as_slice() } else { &[] };
            assert_eq!(inspection.answer_kept(), kept);
            assert_eq!(memory.used(), 0, "{about:?}");
        }
    }
}
