#include "faults.h"

#include <linux/netlink.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>

namespace faults {

namespace {

using ipvs::Records;
using netlink::Outcome;
using netlink::Stage;
using peer::Reply;

const char* current = "";

}  // namespace

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
  netlink::Store(reply->bytes.data() + offsetof(nlmsghdr, nlmsg_seq), sequence);
}

std::vector<Outcome> Bed::Apply(const std::vector<uint32_t>& fwmarks, ipvs::Command command) {
  Records operations;
  for (const uint32_t fwmark : fwmarks) {
    const Records one = model::MakeOperation(command, fwmark);
    operations.insert(operations.end(), one.begin(), one.end());
  }
  std::vector<Outcome> outcomes;
  client.Apply(operations, &outcomes);
  return outcomes;
}

Outcome Bed::Read(size_t* count) {
  Records services;
  Outcome outcome = client.ReadServices(&services);
  if (count != nullptr) *count = services.size() / ipvs::kServiceTable.record_size;
  return outcome;
}

void Bed::Recovers() {
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

void Run(const std::vector<Test>& tests) {
  for (const Test& test : tests) {
    current = test.name;
    test.run();
    Check(peer::Open() == 0, "no descriptor is left");
  }
  std::cout << tests.size() << " faults\n";
}

}  // namespace faults
