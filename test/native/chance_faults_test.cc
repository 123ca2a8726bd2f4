// Faults of all kinds at random places; what is told is held against what the kernel did.

#include <cerrno>
#include <iostream>
#include <random>

#include "faults.h"

namespace {

using faults::Check;
using faults::kStranger;
using faults::Replies;
using faults::SequenceOf;
using ipvs::Records;
using model::Kernel;
using model::MakeOperation;
using model::MakeVerdict;
using netlink::Outcome;
using netlink::Stage;
using peer::Reply;

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
    const auto refused = static_cast<uint32_t>(chance());
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

}  // namespace

int main() {
  faults::Run({
      TEST(Chance),
  });
}
