// The channel to the kernel loses, damages, forges or delays: what becomes of the requests, and
// after each fault the next call works.

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "faults.h"

namespace {

using faults::Bed;
using faults::Check;
using faults::Describe;
using faults::Expect;
using faults::Is;
using faults::kSilence;
using faults::kStranger;
using faults::Replies;
using faults::SequenceOf;
using faults::SetSequence;
using model::MakeVerdict;
using netlink::Outcome;
using netlink::Stage;
using peer::Reply;

void TestNoAnswer() {
  Expect([](Replies* replies) { replies->clear(); }, ETIMEDOUT, ETIMEDOUT);
}

void TestOverflow() {
  const auto overflow = [](Replies* replies) { *replies = {Reply{{}, 0, ENOBUFS}}; };
  Expect(overflow, ENOBUFS, ENOBUFS);
}

void TestCut() {
  for (size_t size = 1; size < 20; ++size) {
    const auto cut = [size](Replies* replies) {
      for (Reply& reply : *replies) reply.bytes.resize(size);
    };
    Expect(cut, EBADMSG, EBADMSG);
  }
  // A datagram of nothing says nothing.
  const auto empty = [](Replies* replies) {
    for (Reply& reply : *replies) reply.bytes.clear();
  };
  Expect(empty, ETIMEDOUT, ETIMEDOUT);
}

void TestOversized() {
  const auto oversized = [](Replies* replies) {
    for (Reply& reply : *replies) reply.bytes.resize(70000);
  };
  Expect(oversized, EMSGSIZE, EMSGSIZE);
}

void TestWrongSequence() {
  const auto wrong = [](Replies* replies) {
    for (Reply& reply : *replies) SetSequence(&reply, SequenceOf(reply) + 1000);
  };
  Expect(wrong, ETIMEDOUT, ETIMEDOUT);
}

void TestStranger() {
  const auto stranger = [](Replies* replies) {
    for (Reply& reply : *replies) reply.port = kStranger;
  };
  Expect(stranger, ETIMEDOUT, ETIMEDOUT);
}

// Somebody else claims success, and refusal, before the kernel says what is.
void TestForgedVerdicts() {
  for (const int forged : {0, EPERM}) {
    Bed bed;
    bed.kernel.refuse = [](uint32_t fwmark) { return fwmark == 2 ? EEXIST : 0; };
    bed.kernel.spoil = [forged](Replies* replies) {
      Replies spoilt;
      for (const Reply& reply : *replies) {
        Reply lie = MakeVerdict(SequenceOf(reply), forged);
        lie.port = kStranger;
        spoilt.push_back(lie);
        spoilt.push_back(reply);
      }
      *replies = spoilt;
    };
    const std::vector<Outcome> told = bed.Apply({1, 2, 3});
    Check(told[0].ok() && Is(told[1], Stage::kKernel, EEXIST) && told[2].ok(),
          "only the kernel is believed");
    bed.Recovers();
  }
}

void TestSilentAfterSome() {
  Bed bed;
  bed.kernel.refuse = [](uint32_t fwmark) { return fwmark == 2 ? EEXIST : 0; };
  bed.kernel.spoil = [](Replies* replies) { replies->resize(1); };
  const std::vector<Outcome> told = bed.Apply({1, 2, 3});
  Check(Is(told[0], Stage::kReply, ETIMEDOUT), "without a verdict of its own it is unknown");
  Check(Is(told[1], Stage::kKernel, EEXIST), "what was told stays told");
  Check(Is(told[2], Stage::kReply, ETIMEDOUT), "and what follows is unknown");
  bed.Recovers();
}

void TestStaleReplies() {
  Bed bed;
  Replies kept;
  bed.kernel.spoil = [&kept](Replies* replies) {
    kept = *replies;
    replies->insert(replies->end(), kept.begin(), kept.end());  // everything arrives twice
  };
  for (uint32_t fwmark = 1; fwmark <= 20; ++fwmark) {
    bed.kernel.refuse = [fwmark](uint32_t) { return fwmark % 2 == 0 ? EEXIST : 0; };
    const Outcome outcome = bed.Apply({fwmark}).front();
    const bool right = fwmark % 2 == 0 ? Is(outcome, Stage::kKernel, EEXIST) : outcome.ok();
    Check(right, "an answer to an earlier request is none to this one");
  }
  size_t count = 0;
  for (int i = 0; i < 5; ++i) Check(bed.Read(&count).ok() && count == 10, "nor in a dump");
  bed.Recovers();
}

void TestSendFails() {
  for (const int error : {ENOBUFS, ENOMEM, EPERM, EMSGSIZE}) {
    Bed bed;
    bed.Apply({1});
    bed.kernel.fail_send = [error] { return error; };
    const std::vector<Outcome> told = bed.Apply({2, 3});
    for (const Outcome& outcome : told) {
      Check(Is(outcome, Stage::kSend, error), "not sent: " + Describe(outcome));
    }
    Check(bed.kernel.executed.size() == 1, "and not carried out");
    Check(Is(bed.Read(), Stage::kSend, error), "nor read");
    bed.Recovers();
  }
}

void TestNoSocket() {
  Bed bed;
  int error = EMFILE;
  peer::Script script = bed.kernel.script();
  script.open = [&error](int) { return error; };
  peer::Play(script);
  Check(Is(bed.Apply({1}).front(), Stage::kSocket, EMFILE), "no socket");
  Check(Is(bed.Read(), Stage::kSocket, EMFILE), "no socket to read");
  Check(bed.kernel.executed.empty(), "nothing was carried out");
  error = 0;
  bed.Recovers();
}

void TestFailingRequestIsAlone() {
  Bed bed;
  bed.Apply({1, 2, 3});
  std::atomic<bool> is_sent{false};
  bed.kernel.spoil = [&is_sent](Replies* replies) {
    if (!is_sent) replies->clear();
    is_sent = true;
  };
  Outcome change;
  std::thread waiting([&] { change = bed.Apply({4}).front(); });
  while (!is_sent) std::this_thread::yield();
  size_t count = 0;
  const Outcome read = bed.Read(&count);
  Check(read.ok() && count == 4, "a read goes on beside a change that waits: " + Describe(read));
  waiting.join();
  Check(Is(change, Stage::kReply, ETIMEDOUT), "only that request fails");
  bed.Recovers();
}

// The rest of a batch is not sent into silence.
void TestSilenceEndsABatch() {
  Bed bed;
  std::vector<uint32_t> fwmarks;
  for (uint32_t fwmark = 1; fwmark <= 300; ++fwmark) fwmarks.push_back(fwmark);
  bed.kernel.spoil = [](Replies* replies) { replies->clear(); };
  const std::vector<Outcome> told = bed.Apply(fwmarks);
  Check(Is(told[127], Stage::kReply, ETIMEDOUT), "what was sent is unknown");
  Check(Is(told[128], Stage::kSend, ECANCELED), "what was not sent is known not to be");
  Check(bed.kernel.executed.size() == 128, "and was not carried out");
  bed.Recovers();
}

// The deadline is a limit on silence, and noise is silence.
void TestNoiseBuysNoTime() {
  Bed bed;
  bed.Apply({1});
  bed.kernel.spoil = [](Replies* replies) {
    Reply noise = replies->back();
    SetSequence(&noise, 0);
    replies->assign(300, noise);
  };
  const auto start = std::chrono::steady_clock::now();
  Check(Is(bed.Apply({2}).front(), Stage::kReply, ETIMEDOUT), "it ends");
  const auto took = std::chrono::steady_clock::now() - start;
  Check(took < std::chrono::seconds(10), "in its time");
  bed.Recovers();
}

}  // namespace

int main() {
  faults::Run({
      TEST(NoAnswer),
      TEST(Overflow),
      TEST(Cut),
      TEST(Oversized),
      TEST(WrongSequence),
      TEST(Stranger),
      TEST(ForgedVerdicts),
      TEST(SilentAfterSome),
      TEST(StaleReplies),
      TEST(SendFails),
      TEST(NoSocket),
      TEST(FailingRequestIsAlone),
      TEST(SilenceEndsABatch),
      TEST(NoiseBuysNoTime),
  });
}
