// The module is unloaded, loaded again under another number, or not there: each change is carried
// out once.

#include <cerrno>

#include "faults.h"

namespace {

using faults::Bed;
using faults::Check;
using faults::Describe;
using faults::Is;
using faults::Replies;
using ipvs::Records;
using model::MakeOperation;
using netlink::Outcome;
using netlink::Stage;
using netlink::Store;

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
    Check(bed.kernel.executed[i].fwmark == i + 1, "and in order");
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

// Of a send under a stale number, only the first reply arrives: ENOENT, which is no refusal of that
// change. Where another reply shows that the number was right, it is one.
void TestReloadedAndRepliesLost() {
  for (const bool is_reloaded : {true, false}) {
    Bed bed;
    bed.Apply({1, 3});
    if (is_reloaded) ++bed.kernel.family;
    bed.kernel.refuse = [](uint32_t fwmark) { return fwmark == 2 ? ENOENT : 0; };
    bed.kernel.spoil = [=](Replies* replies) { replies->resize(is_reloaded ? 1 : 2); };
    const std::vector<Outcome> told = bed.Apply({2, 3, 4});
    if (is_reloaded) {
      Check(Is(told[0], Stage::kReply, ETIMEDOUT), "it is unknown: " + Describe(told[0]));
      Check(Is(told[1], Stage::kReply, ETIMEDOUT), "all of it: " + Describe(told[1]));
      Check(bed.kernel.executed.size() == 2, "nothing was carried out");
    } else {
      Check(Is(told[0], Stage::kKernel, ENOENT), "it is refused: " + Describe(told[0]));
      Check(Is(told[1], Stage::kKernel, EEXIST), "as is the next: " + Describe(told[1]));
    }
    Check(Is(told[2], Stage::kReply, ETIMEDOUT), "the last is unknown: " + Describe(told[2]));
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

}  // namespace

int main() {
  faults::Run({
      TEST(FamilyGoesAndComes),
      TEST(ReloadedBetweenSends),
      TEST(ReloadedAgainAndAgain),
      TEST(RefusedWithNoEntry),
      TEST(ReloadedAndRepliesLost),
      TEST(ReloadedInAPatch),
      TEST(FamilyChangesBehindARefusal),
      TEST(FamilyUnanswered),
  });
}
