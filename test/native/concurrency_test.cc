// One client, called from many threads at once while the family's number changes under it and
// replies are lost. Under ThreadSanitizer (`npm run test:sanitized`) it also shows that nothing is
// shared without a lock.

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "ipvs/client.h"
#include "kernel.h"

namespace {

using ipvs::Records;
using model::Kernel;
using netlink::Outcome;
using netlink::Stage;

constexpr size_t kThreads = 4;  // of each kind
constexpr uint32_t kRounds = 150;
constexpr uint32_t kPerCall = 10;
constexpr int kSilence = 30;  // ms

void Check(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << "\n";
  std::_Exit(1);  // the other threads go on
}

// What became of the requests of one kind.
struct Tally {
  std::atomic<size_t> done{0};
  std::atomic<size_t> unknown{0};

  // A stale number is found out and no refusal.
  void Count(const Outcome& outcome) {
    Check(outcome.ok() || outcome.stage == Stage::kReply, "nothing else goes wrong");
    ++(outcome.ok() ? done : unknown);
  }
};

// Changes of marks that no other thread has; each mark is added once.
void Change(ipvs::Client* client, uint32_t thread, Tally* tally) {
  for (uint32_t round = 0; round < kRounds; ++round) {
    const uint32_t first = 1 + (thread * kRounds + round) * kPerCall;
    Records operations;
    for (uint32_t i = 0; i < kPerCall; ++i) {
      const Records one = model::MakeOperation(ipvs::kNewService, first + i);
      operations.insert(operations.end(), one.begin(), one.end());
    }
    std::vector<Outcome> told;
    client->Apply(operations, &told);
    Check(told.size() == kPerCall, "each change has an outcome");
    for (const Outcome& outcome : told) tally->Count(outcome);
  }
}

void Read(ipvs::Client* client, uint32_t thread, Tally* tally) {
  for (uint32_t round = 0; round < kRounds; ++round) {
    Records found;
    const Outcome outcome =
        (round + thread) % 8 == 0 ? client->ReadServices(&found) : client->ReadInfo(&found);
    Check(!outcome.ok() || !found.empty(), "what is read is there");
    tally->Count(outcome);
  }
}

}  // namespace

int main() {
  Kernel kernel;
  kernel.services[1'000'000] = true;
  size_t sends = 0;
  // Runs under the peer's lock, as all of the model.
  kernel.spoil = [&](std::vector<peer::Reply>* replies) {
    ++sends;
    if (sends % 50 == 0) ++kernel.family;  // the module is loaded anew
    if (sends % 211 == 0) replies->clear();
  };
  peer::Play(kernel.script());

  Tally changes;
  Tally reads;
  auto client = std::make_shared<ipvs::Client>(nullptr, kSilence);
  std::vector<std::thread> threads;
  for (uint32_t n = 0; n < kThreads; ++n) {
    // As jobs do: the last thread to end closes the sockets.
    threads.emplace_back([client, n, &changes] { Change(client.get(), n, &changes); });
    threads.emplace_back([client, n, &reads] { Read(client.get(), n, &reads); });
  }
  client.reset();
  for (std::thread& thread : threads) thread.join();

  Check(peer::Open() == 0, "no descriptor is left");
  constexpr size_t kAll = kThreads * kRounds * kPerCall;
  Check(changes.done + changes.unknown == kAll, "every change was told of");
  Check(changes.unknown > 0 && changes.done > kAll / 2, "replies were lost, and most were not");
  Check(reads.done > kThreads * kRounds / 2, "most reads were answered");
  std::set<uint32_t> marks;
  for (const model::Execution& each : kernel.executed) marks.insert(each.fwmark);
  Check(marks.size() == kernel.executed.size(), "nothing is carried out twice");
  Check(marks.size() == kAll, "and none is left out");
  std::cout << kAll << " changes by " << kThreads << " threads, " << changes.unknown
            << " of unknown outcome; " << kThreads * kRounds << " reads by as many, "
            << reads.unknown << " without an answer\n";
}
