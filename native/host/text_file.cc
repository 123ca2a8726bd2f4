#include "host/text_file.h"

#include <fcntl.h>

#include <cerrno>

namespace host {

using netlink::Failure;
using netlink::Outcome;
using netlink::Stage;

Outcome TextFile::Open(const std::shared_ptr<netlink::NetworkNamespace>& where,
                       const std::string& name, TextFile* opened) {
  if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos) {
    return Failure(Stage::kSend, EINVAL);
  }
  return netlink::RunInNamespace(where, [&] {
    // /proc/net itself is that of the process's first thread.
    const std::string path = "/proc/thread-self/net/" + name;
    netlink::Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return Failure(Stage::kKernel, errno);
    opened->file_ = std::move(file);
    return Outcome{};
  });
}

Outcome TextFile::Read(size_t most, std::vector<uint8_t>* bytes) {
  bytes->resize(most);
  size_t filled = 0;
  // The kernel answers a page at a time, whatever the buffer.
  while (filled < most) {
    const ssize_t size = read(file_.get(), bytes->data() + filled, most - filled);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Failure(Stage::kKernel, errno);
    if (size == 0) break;
    filled += static_cast<size_t>(size);
  }
  bytes->resize(filled);
  return {};
}

Outcome ReadText(const std::shared_ptr<netlink::NetworkNamespace>& where, const std::string& name,
                 std::string* text) {
  TextFile file;
  Outcome outcome = TextFile::Open(where, name, &file);
  std::vector<uint8_t> piece;
  while (outcome.ok()) {
    outcome = file.Read(4096, &piece);
    if (piece.empty()) break;
    text->append(piece.begin(), piece.end());
  }
  return outcome;
}

}  // namespace host
