// What becomes of requests when the channel to the kernel fails: every kind of failure that netlink
// has, and after each the next call works. Runs the shipped client against a peer that misbehaves.

#include <linux/netlink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <thread>

#include "ipvs/client.h"
#include "kernel.h"

namespace {

using ipvs::Records;
using model::Kernel;
using model::MakeKey;
using model::MakeOperation;
using model::MakeVerdict;
using netlink::Outcome;
using netlink::Stage;
using netlink::Store;
using peer::Reply;
using Replies = std::vector<Reply>;

constexpr int kSilence = 40;  // ms
constexpr uint32_t kStranger = 4711;

const char* current = "";

void Check(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << current << ": does not hold: " << what << "\n";
  std::exit(1);
}

bool Is(const Outcome& outcome, Stage stage, int error) {
  return outcome.stage == stage && outcome.error == error;
}

std::string Describe(const Outcome& outcome) {
  return "stage " + std::to_string(static_cast<int>(outcome.stage)) + ", errno " +
         std::to_string(outcome.error);
}

uint32_t SequenceOf(const Reply& reply) {
  return netlink::Load<uint32_t>(reply.bytes.data() + offsetof(nlmsghdr, nlmsg_seq));
}

void SetSequence(Reply* reply, uint32_t sequence) {
  Store(reply->bytes.data() + offsetof(nlmsghdr, nlmsg_seq), sequence);
}

// A kernel and a client of it.
struct Bed {
  Kernel kernel;
  ipvs::Client client{nullptr, kSilence};

  Bed() { peer::Play(kernel.script()); }

  std::vector<Outcome> Apply(const std::vector<uint32_t>& fwmarks,
                             ipvs::Command command = ipvs::kNewService) {
    Records operations;
    for (const uint32_t fwmark : fwmarks) {
      const Records one = MakeOperation(command, fwmark);
      operations.insert(operations.end(), one.begin(), one.end());
    }
    std::vector<Outcome> outcomes;
    client.Apply(operations, &outcomes);
    return outcomes;
  }

  Outcome Read(size_t* count = nullptr) {
    Records services;
    Outcome outcome = client.ReadServices(&services);
    if (count != nullptr) *count = services.size() / ipvs::kServiceTable.record_size;
    return outcome;
  }

  // After a fault: everything works again.
  void Recovers() {
    kernel.spoil = [](Replies*) {};
    kernel.fail_send = [] { return 0; };
    kernel.refuse = [](uint32_t) { return 0; };
    const std::vector<Outcome> told = Apply({900}, ipvs::kZero);
    Check(told[0].ok(), "the next change works: " + Describe(told[0]));
    size_t count = 0;
    const Outcome read = Read(&count);
    Check(read.ok(), "the next read works: " + Describe(read));
    size_t present = 0;
    for (const auto& each : kernel.services) present += each.second ? 1 : 0;
    Check(count == present, "and reads what is there");
  }
};

// What a change and a read answer while the fault lasts.
void Expect(const std::function<void(Replies*)>& spoil, int error_of_change, int error_of_read) {
  Bed bed;
  Check(bed.Apply({1, 2}).back().ok(), "a change before the fault");
  bed.kernel.spoil = spoil;
  const std::vector<Outcome> told = bed.Apply({3, 4, 5});
  for (const Outcome& outcome : told) {
    Check(Is(outcome, Stage::kReply, error_of_change),
          "the outcome is unknown: " + Describe(outcome));
  }
  Check(bed.kernel.services[3] && bed.kernel.services[5], "the kernel did carry it out");
  Check(peer::Open() == 0, "the socket is closed, as the reply may still come");
  const Outcome read = bed.Read();
  Check(Is(read, Stage::kReply, error_of_read), "the read fails: " + Describe(read));
  bed.Recovers();
}

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

void TestDuplicatedDump() {
  Bed bed;
  bed.Apply({1, 2, 3});
  bed.kernel.spoil = [](Replies* replies) {
    const Replies entries(replies->begin(), replies->end() - 1);
    replies->insert(replies->begin(), entries.begin(), entries.end());
  };
  size_t count = 0;
  Check(bed.Read(&count).ok() && count == 3, "entries that arrive twice stay once");
  bed.Recovers();
}

void TestInterruptedDump() {
  for (const int interruptions : {1, 7, 8}) {
    Bed bed;
    bed.Apply({1, 2, 3});
    int left = interruptions;
    bed.kernel.spoil = [&left](Replies* replies) {
      if (left-- <= 0) return;
      for (Reply& reply : *replies) {
        uint8_t* flags = reply.bytes.data() + offsetof(nlmsghdr, nlmsg_flags);
        Store<uint16_t>(flags,
                        static_cast<uint16_t>(netlink::Load<uint16_t>(flags) | NLM_F_DUMP_INTR));
      }
    };
    size_t count = 0;
    const Outcome read = bed.Read(&count);
    if (interruptions < 8) {
      Check(read.ok() && count == 3, "an interrupted dump is repeated");
    } else {
      Check(Is(read, Stage::kReply, EINTR), "but not for ever: " + Describe(read));
    }
    bed.Recovers();
  }
}

void TestDumpThatFails() {
  for (const int error : {ENOMEM, EINTR, 4095}) {
    Bed bed;
    bed.Apply({1, 2, 3});
    bed.kernel.spoil = [error](Replies* replies) {
      const uint32_t sequence = SequenceOf(replies->front());
      replies->resize(2);
      replies->push_back(model::MakeDone(sequence, 0, error));
    };
    const Outcome read = bed.Read();
    Check(Is(read, Stage::kKernel, error), "a dump's own error: " + Describe(read));
    bed.Recovers();
  }
}

// -2^31 has no positive counterpart, and a positive number is no errno of the kernel.
void TestAbsurdErrno() {
  for (const int32_t absurd : {std::numeric_limits<int32_t>::min(), -4096, 1, 17}) {
    const auto spoil = [absurd](Replies* replies) {
      const uint32_t sequence = SequenceOf(replies->back());
      *replies = {model::MakeReply(NLMSG_ERROR, 0, sequence, [&](netlink::MessageWriter* writer) {
        writer->Append(&absurd, sizeof absurd);
      })};
    };
    Expect(spoil, EBADMSG, EBADMSG);
  }
}

// A refusal with words: behind the request's header, or behind the whole request where it is
// echoed.
Reply MakeRefusalWithWords(uint32_t sequence, size_t echoed, const std::string& words) {
  const auto flags = static_cast<uint16_t>(NLM_F_ACK_TLVS | (echoed == 0 ? NLM_F_CAPPED : 0));
  return model::MakeReply(NLMSG_ERROR, flags, sequence, [&](netlink::MessageWriter* writer) {
    const int32_t error = -EINVAL;
    nlmsghdr request{};
    request.nlmsg_len = static_cast<uint32_t>(sizeof request + echoed);
    writer->Append(&error, sizeof error);
    writer->Append(&request, sizeof request);
    const std::vector<uint8_t> payload(echoed, 0x41);
    if (echoed != 0) writer->Append(payload.data(), payload.size());
    writer->Attribute(NLMSGERR_ATTR_OFFS, uint32_t{20});
    writer->Attribute(NLMSGERR_ATTR_MSG, words.c_str(), words.size() + 1);
  });
}

void TestWordsOfTheKernel() {
  for (const size_t echoed : {size_t{0}, size_t{72}}) {
    for (const std::string& words : {std::string(), std::string("Attribute failed")}) {
      Bed bed;
      bed.kernel.spoil = [&](Replies* replies) {
        const uint32_t sequence = SequenceOf(replies->back());
        *replies = {MakeRefusalWithWords(sequence, echoed, words)};
      };
      const Outcome outcome = bed.Apply({1}).front();
      Check(Is(outcome, Stage::kKernel, EINVAL), "it is refused: " + Describe(outcome));
      Check(outcome.text == words, "with the kernel's words: " + outcome.text);
      bed.Recovers();
    }
  }
  // An echo that is said to be longer than the message has no words, and does no harm.
  Bed bed;
  bed.kernel.spoil = [](Replies* replies) {
    Reply refusal = MakeRefusalWithWords(SequenceOf(replies->back()), 72, "x");
    Store<uint32_t>(refusal.bytes.data() + sizeof(nlmsghdr) + sizeof(int32_t), 70000);
    *replies = {refusal};
  };
  const Outcome outcome = bed.Apply({1}).front();
  Check(Is(outcome, Stage::kKernel, EINVAL) && outcome.text.empty(), "refused without words");
  bed.Recovers();
}

void TestAnswerWithoutContent() {
  Bed bed;
  bed.Apply({1});
  bed.kernel.spoil = [](Replies* replies) { replies->erase(replies->begin()); };
  Records found;
  const Outcome read = bed.client.ReadService(MakeKey(1), &found);
  Check(Is(read, Stage::kReply, EBADMSG), "an acknowledgement alone is no answer to a question");
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
  script.open = [&error] { return error; };
  peer::Play(script);
  Check(Is(bed.Apply({1}).front(), Stage::kSocket, EMFILE), "no socket");
  Check(Is(bed.Read(), Stage::kSocket, EMFILE), "no socket to read");
  Check(bed.kernel.executed.empty(), "nothing was carried out");
  error = 0;
  bed.Recovers();
}

void TestFamilyGoesAndComes() {
  Bed bed;
  bed.Apply({1});
  bed.kernel.family = 0;
  const Outcome gone = bed.Apply({2}).front();
  Check(Is(gone, Stage::kFamily, ENOENT), "no family: " + Describe(gone));
  Check(Is(bed.Read(), Stage::kFamily, ENOENT), "none to read");
  Check(bed.kernel.executed.size() == 1, "nothing was carried out");
  bed.kernel.family = 41;
  Check(bed.Apply({3}).front().ok(), "under its new number it is found again");
  bed.kernel.family = 42;
  size_t count = 0;
  Check(bed.Read(&count).ok() && count == 2, "by a read, too");
  bed.kernel.family = 43;
  const std::vector<Outcome> told = bed.Apply({4, 5, 6});
  for (const Outcome& outcome : told) Check(outcome.ok(), "by a batch, too");
  Check(bed.kernel.executed.size() == 5, "which is carried out once");
  bed.Recovers();
}

// What was executed is what was told as done, once each and in order.
void CheckDone(const Bed& bed, const std::vector<Outcome>& told) {
  for (const Outcome& outcome : told) Check(outcome.ok(), "it is done: " + Describe(outcome));
  Check(bed.kernel.executed.size() == told.size(), "once each");
  for (size_t i = 0; i < told.size(); ++i) {
    Check(bed.kernel.executed[i].first == i + 1, "and in order");
  }
}

// The module is reloaded between the sends of one batch: what was sent under the stale number was
// not carried out, and is sent again.
void TestReloadedBetweenSends() {
  std::vector<uint32_t> fwmarks;
  for (uint32_t fwmark = 1; fwmark <= 300; ++fwmark) fwmarks.push_back(fwmark);
  // The first of the sends asks for the number.
  for (const int before : {2, 3, 4}) {
    Bed bed;
    int sends = 0;
    bed.kernel.fail_send = [&] {
      if (++sends == before) bed.kernel.family = 77;
      return 0;
    };
    CheckDone(bed, bed.Apply(fwmarks, ipvs::kNewDest));
    bed.Recovers();
  }
}

// It is reloaded again while its new number is asked for, and at last is left alone or never.
void TestReloadedAgainAndAgain() {
  for (const int reloads : {1, 2, 3, 4, 1000}) {
    Bed bed;
    Check(bed.Apply({1}).front().ok(), "before");
    int left = reloads;
    bed.kernel.fail_send = [&] {
      if (left-- > 0) ++bed.kernel.family;
      return 0;
    };
    const std::vector<Outcome> told = bed.Apply({2, 3});
    left = reloads;
    size_t count = 0;
    const Outcome read = bed.Read(&count);
    if (reloads < 1000) {
      CheckDone(bed, {{}, told[0], told[1]});
      Check(read.ok() && count == 3, "read: " + Describe(read));
    } else {
      Check(Is(told[0], Stage::kFamily, ENOENT), "not reached: " + Describe(told[0]));
      Check(Is(told[1], Stage::kFamily, ENOENT), "all of it: " + Describe(told[1]));
      Check(Is(read, Stage::kFamily, ENOENT), "nor read: " + Describe(read));
      Check(bed.kernel.executed.size() == 1, "nothing was carried out");
    }
    bed.Recovers();
  }
}

// ENOENT is an answer, too: a scheduler or a destination that is not there.
void TestRefusedWithNoEntry() {
  for (const bool all : {true, false}) {
    Bed bed;
    Check(bed.Apply({1}).front().ok(), "before");
    bed.kernel.refuse = [all](uint32_t fwmark) { return all || fwmark == 3 ? ENOENT : 0; };
    const std::vector<Outcome> told = bed.Apply({2, 3, 4});
    Check(all ? Is(told[0], Stage::kKernel, ENOENT) : told[0].ok(), "the first");
    Check(Is(told[1], Stage::kKernel, ENOENT), "the refused one");
    Check(bed.kernel.executed.size() == 4, "nothing is carried out twice");
    bed.Recovers();
  }
}

// Between the reading and the writing of a patch.
void TestReloadedInAPatch() {
  Bed bed;
  bed.Apply({1});
  Records patch = MakeOperation(ipvs::kSetService, 1);
  Store<uint32_t>(&patch[offsetof(ipvs::OperationHeader, kind)], 1);
  int sends = 0;
  bed.kernel.fail_send = [&] {
    if (++sends == 2) bed.kernel.family = 77;
    return 0;
  };
  std::vector<Outcome> told;
  bed.client.Apply(patch, &told);
  Check(told.front().ok(), "it is done: " + Describe(told.front()));
  Check(bed.kernel.executed.size() == 2, "once");
  bed.Recovers();
}

// ENOENT of one change is its own, even if the number changes in the same moment.
void TestFamilyChangesBehindARefusal() {
  Bed bed;
  bed.Apply({1});
  bed.kernel.refuse = [](uint32_t fwmark) { return fwmark == 2 ? ENOENT : 0; };
  bed.kernel.spoil = [&bed](Replies*) { bed.kernel.family = 50; };
  const std::vector<Outcome> told = bed.Apply({2, 3});
  Check(Is(told[0], Stage::kKernel, ENOENT), "the refusal is told: " + Describe(told[0]));
  Check(told[1].ok(), "and the success: " + Describe(told[1]));
  Check(bed.kernel.executed.size() == 3, "nothing is carried out twice");
  bed.Recovers();
}

// Nobody answers about the family's number.
void TestFamilyUnanswered() {
  Bed bed;
  peer::Script script;
  script.answer = [](netlink::Bytes, Replies*) { return 0; };
  peer::Play(script);
  Check(Is(bed.Apply({1}).front(), Stage::kFamily, ETIMEDOUT), "nothing was sent");
  Check(Is(bed.Read(), Stage::kFamily, ETIMEDOUT), "nor read");
  peer::Play(bed.kernel.script());
  bed.Recovers();
}

void TestPatch() {
  Bed bed;
  bed.Apply({1});
  Records patch = MakeOperation(ipvs::kSetService, 1);
  Store<uint32_t>(&patch[offsetof(ipvs::OperationHeader, kind)], 1);
  const auto apply = [&] {
    std::vector<Outcome> outcomes;
    bed.client.Apply(patch, &outcomes);
    return outcomes.front();
  };
  int sends = 0;
  bed.kernel.spoil = [&sends](Replies* replies) {
    if (++sends == 1) replies->clear();
  };
  Outcome outcome = apply();
  Check(Is(outcome, Stage::kFamily, ETIMEDOUT), "the reading was lost: " + Describe(outcome));
  Check(bed.kernel.executed.size() == 1, "so nothing was changed");
  sends = -1;
  outcome = apply();
  Check(Is(outcome, Stage::kReply, ETIMEDOUT), "the writing was lost: " + Describe(outcome));
  Check(bed.kernel.executed.size() == 2, "and it was carried out");
  bed.Recovers();
}

// The kernel stops a daemon and says nothing; what follows is answered.
void TestStopWithoutVerdict() {
  Bed bed;
  bed.kernel.refuse = [](uint32_t) { return EINTR; };
  Records stop(ipvs::OperationSize(), 0);
  Store<uint32_t>(stop.data(), ipvs::kDelDaemon);
  constexpr uint32_t kMaster = 1;
  Store<uint32_t>(&stop[ipvs::OperationServiceOffset()], 1);  // the row of the state is present
  Store<uint32_t>(&stop[ipvs::OperationServiceOffset() + offsetof(ipvs::DaemonRecord, state)],
                  kMaster);
  std::vector<Outcome> outcomes;
  bed.kernel.daemons = {2};
  bed.client.Apply(stop, &outcomes);
  Check(outcomes.front().ok(), "it is seen to be stopped: " + Describe(outcomes.front()));
  bed.kernel.daemons = {2, kMaster};
  bed.client.Apply(stop, &outcomes);
  Check(Is(outcomes.front(), Stage::kReply, EBUSY), "and not to be: " + Describe(outcomes.front()));
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
  Check(took < std::chrono::milliseconds(kSilence * 20), "in its time");
  bed.Recovers();
}

// One kind of damage that the channel can do, at a place that chance chooses.
void SpoilByChance(std::mt19937* chance, Replies* replies) {
  const auto below = [&](size_t limit) { return static_cast<size_t>((*chance)() % limit); };
  if (replies->empty()) return;
  const auto place = replies->begin() + static_cast<std::ptrdiff_t>(below(replies->size()));
  switch (below(8)) {
    case 0:  // overflow: what follows is lost, and the error comes first
      replies->erase(place, replies->end());
      replies->insert(replies->begin(), Reply{{}, 0, ENOBUFS});
      return;
    case 1:
      replies->erase(place, replies->end());
      return;
    case 2:
      place->bytes.resize(1 + below(place->bytes.size() - 1));
      return;
    case 3: {
      Reply lie = MakeVerdict(SequenceOf(*place), below(2) == 0 ? 0 : EPERM);
      lie.port = kStranger;
      replies->insert(place, lie);
      return;
    }
    case 4: {
      Reply other = MakeVerdict(SequenceOf(*place) + 500, 0);
      replies->insert(place, other);
      return;
    }
    case 5: {
      const Reply again = *place;
      replies->push_back(again);
      return;
    }
    case 6:
      replies->insert(place, Reply{{}, 0, EIO});
      return;
    default:
      return;  // nothing happens
  }
}

// What is reported as done was done, what is reported as refused was refused so, and what is
// reported as not sent never arrived; all else is unknown.
size_t HoldAgainst(const Kernel& kernel, const std::vector<Outcome>& told, uint32_t first) {
  size_t unknown = 0;
  for (size_t i = 0; i < told.size(); ++i) {
    const uint32_t fwmark = first + static_cast<uint32_t>(i);
    const std::pair<uint32_t, int>* what = nullptr;
    size_t times = 0;
    for (const auto& each : kernel.executed) {
      if (each.first != fwmark) continue;
      what = &each;
      ++times;
    }
    Check(times <= 1, "nothing is carried out twice");
    const Outcome& outcome = told[i];
    if (outcome.ok()) Check(what != nullptr && what->second == 0, "what is done was done");
    if (outcome.stage == Stage::kKernel) {
      Check(what != nullptr && what->second == outcome.error, "what is refused was refused so");
    }
    if (outcome.stage == Stage::kSend) Check(what == nullptr, "what was not sent did not arrive");
    unknown += outcome.stage == Stage::kReply ? 1 : 0;
  }
  return unknown;
}

void TestChance() {
  constexpr int kTrials = 3000;
  std::mt19937 chance(20261122);
  size_t unknown = 0;
  size_t all = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    Kernel kernel;
    peer::Play(kernel.script());
    ipvs::Client client(nullptr, 2);
    const uint32_t refused = chance();
    kernel.refuse = [refused](uint32_t fwmark) {
      return (refused >> fwmark % 32 & 1) != 0 ? EEXIST : 0;
    };
    kernel.spoil = [&chance](Replies* replies) { SpoilByChance(&chance, replies); };
    for (int call = 0; call < 3; ++call) {
      Records operations;
      const size_t count = 1 + chance() % 8;
      const uint32_t first = 1 + 10 * static_cast<uint32_t>(call);
      for (uint32_t i = 0; i < count; ++i) {
        const Records one = MakeOperation(ipvs::kNewService, first + i);
        operations.insert(operations.end(), one.begin(), one.end());
      }
      std::vector<Outcome> told;
      client.Apply(operations, &told);
      unknown += HoldAgainst(kernel, told, first);
      all += count;
    }
    kernel.spoil = [](Replies*) {};
    Records services;
    Check(client.ReadServices(&services).ok(), "after any of them the next call works");
  }
  Check(unknown > all / 20 && unknown < all / 2, "the chances are as meant");
  std::cout << all << " changes in " << kTrials << " trials, " << unknown
            << " of unknown outcome\n";
}

struct Test {
  const char* name;
  void (*run)();
};

#define TEST(name) \
  { #name, Test##name }

constexpr Test kTests[] = {
    TEST(NoAnswer),
    TEST(Overflow),
    TEST(Cut),
    TEST(Oversized),
    TEST(WrongSequence),
    TEST(Stranger),
    TEST(ForgedVerdicts),
    TEST(SilentAfterSome),
    TEST(StaleReplies),
    TEST(DuplicatedDump),
    TEST(InterruptedDump),
    TEST(DumpThatFails),
    TEST(AbsurdErrno),
    TEST(WordsOfTheKernel),
    TEST(AnswerWithoutContent),
    TEST(SendFails),
    TEST(NoSocket),
    TEST(FamilyGoesAndComes),
    TEST(ReloadedBetweenSends),
    TEST(ReloadedAgainAndAgain),
    TEST(RefusedWithNoEntry),
    TEST(ReloadedInAPatch),
    TEST(FamilyChangesBehindARefusal),
    TEST(FamilyUnanswered),
    TEST(Patch),
    TEST(StopWithoutVerdict),
    TEST(FailingRequestIsAlone),
    TEST(SilenceEndsABatch),
    TEST(NoiseBuysNoTime),
    TEST(Chance),
};

#undef TEST

}  // namespace

int main() {
  for (const Test& test : kTests) {
    current = test.name;
    test.run();
    Check(peer::Open() == 0, "no descriptor is left");
  }
  std::cout << std::size(kTests) << " faults\n";
}
