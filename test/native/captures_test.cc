// Every reply that real kernels gave (test/fixtures), cut at every byte and with every byte
// changed: an error or no more than the whole reply has, and no byte read outside of it.

#include <linux/netlink.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "ipvs/client.h"
#include "kernel.h"
#include "route/addresses.h"

namespace {

using ipvs::Records;
using Datagram = std::vector<uint8_t>;

void Check(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << "\n";
  std::exit(1);
}

std::vector<Datagram> RepliesIn(const char* file) {
  std::ifstream lines(std::string(SOURCE_FOLDER "/test/fixtures/") + file);
  std::vector<Datagram> replies;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("RX ", 0) != 0) continue;
    Datagram reply;
    for (size_t at = 3; at + 1 < line.size(); at += 2) {
      reply.push_back(static_cast<uint8_t>(std::stoul(line.substr(at, 2), nullptr, 16)));
    }
    reply.shrink_to_fit();
    replies.push_back(reply);
  }
  Check(!replies.empty(), std::string(file) + " has replies");
  return replies;
}

// Calls `use` with every damaged form of the datagram, each in memory of exactly its size.
size_t Damage(const Datagram& whole, const std::vector<uint8_t>& changes,
              const std::function<void(const Datagram&, bool cut)>& use) {
  size_t forms = 0;
  for (size_t size = 0; size < whole.size(); ++size, ++forms) {
    Datagram cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    cut.shrink_to_fit();
    use(cut, true);
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const uint8_t bits : changes) {
      Datagram changed = whole;
      changed[at] = static_cast<uint8_t>(changed[at] ^ bits);
      use(changed, false);
      ++forms;
    }
  }
  return forms;
}

struct Form {
  const netlink::Table& table;
  uint16_t top;
};

constexpr Form kForms[] = {
    {ipvs::kServiceTable, ipvs::kAttrService},
    {ipvs::kDestinationTable, ipvs::kAttrDest},
    {ipvs::kDaemonTable, ipvs::kAttrDaemon},
    {ipvs::kConfigTable, 0},
    {ipvs::kInfoTable, 0},
};

// How many records were read, or nothing when the datagram was refused.
size_t CountRecords(const Form& form, const Datagram& datagram, bool* refused) {
  netlink::MessageReader messages({datagram.data(), datagram.size()});
  netlink::Message message;
  Records records;
  *refused = false;
  while (messages.Next(&message)) {
    if (message.type < NLMSG_MIN_TYPE) continue;
    if (!ipvs::ReadRecord(form.table, form.top, message, &records)) *refused = true;
  }
  *refused = *refused || messages.malformed();
  return records.size() / form.table.record_size;
}

size_t TestReaders(const std::vector<Datagram>& replies) {
  size_t forms = 0;
  for (const Datagram& whole : replies) {
    for (const Form& form : kForms) {
      bool refused = false;
      const size_t count = CountRecords(form, whole, &refused);
      const auto use = [&](const Datagram& damaged, bool cut) {
        bool no = false;
        const size_t got = CountRecords(form, damaged, &no);
        // A changed length may split a message, and then what it was is no longer whole.
        if (!cut) return;
        Check(no || damaged.empty() || got < count || count == 0, "a cut reply is refused or less");
        Check(got <= count, "and never more");
      };
      forms += Damage(whole, {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}, use);
    }
  }
  return forms;
}

void SetSequences(uint32_t sequence, Datagram* datagram) {
  size_t at = 0;
  while (at + sizeof(nlmsghdr) <= datagram->size()) {
    netlink::Store(datagram->data() + at + offsetof(nlmsghdr, nlmsg_seq), sequence);
    const size_t length = netlink::Align(netlink::Load<uint32_t>(datagram->data() + at));
    at += length < sizeof(nlmsghdr) ? datagram->size() : length;
  }
}

uint32_t LastSequence(netlink::Bytes sent) {
  netlink::MessageReader messages(sent);
  netlink::Message message;
  while (messages.Next(&message)) continue;
  return message.sequence;
}

// The replies that the kernel gives to one request after another; then recvmsg() fails.
void PlayReplies(const std::vector<Datagram>& replies) {
  peer::Script script;
  script.answer = [replies](netlink::Bytes sent, std::vector<peer::Reply>* answers) {
    for (const Datagram& reply : replies) {
      answers->push_back({reply});
      SetSequences(LastSequence(sent), &answers->back().bytes);
    }
    answers->push_back({{}, 0, EIO});
    return 0;
  };
  peer::Play(script);
}

// A dump, and its end. What the damaged reply says of the family's number counts for nothing here.
size_t TestClient(const std::vector<Datagram>& replies) {
  size_t forms = 0;
  const Datagram end = model::MakeDone(0).bytes;
  for (const Datagram& whole : replies) {
    forms += Damage(whole, {0xff}, [&](const Datagram& damaged, bool) {
      PlayReplies({damaged, end});
      Records links;
      Records addresses;
      if (route::ReadAddresses(nullptr, "", 1000, &addresses).ok()) {
        Check(addresses.size() % route::kAddressTable.record_size == 0, "whole records");
      }
      model::Kernel kernel;
      kernel.spoil = [&](std::vector<peer::Reply>* answers) {
        peer::Reply reply{damaged};
        SetSequences(netlink::Load<uint32_t>(answers->back().bytes.data() + 8), &reply.bytes);
        answers->insert(answers->begin(), reply);
        answers->push_back({{}, 0, EIO});
      };
      peer::Play(kernel.script());
      ipvs::Client client(nullptr, 1000);
      Records services;
      if (client.ReadServices(&services).ok()) {
        Check(services.size() % ipvs::kServiceTable.record_size == 0, "whole records");
      }
    });
  }
  return forms;
}

}  // namespace

int main() {
  std::vector<Datagram> replies = RepliesIn("golden-6.1.txt");
  for (const Datagram& reply : RepliesIn("golden-7.3.txt")) replies.push_back(reply);
  const size_t readers = TestReaders(replies);
  for (const Datagram& reply : RepliesIn("addresses-6.12.txt")) replies.push_back(reply);
  const size_t clients = TestClient(replies);
  std::cout << replies.size() << " replies: " << readers << " damaged forms for the readers, "
            << clients << " for the clients\n";
}
