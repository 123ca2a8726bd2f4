// Feeds a fuzz target what is kept of earlier runs, one input a line in hex. Built by any compiler.
//
//   NAME_replay NAME

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::ifstream file(std::string(SOURCE_FOLDER "/test/fuzz/corpus/") + arguments[1] + ".txt");
  size_t inputs = 0;
  for (std::string line; std::getline(file, line);) {
    std::vector<uint8_t> input;
    for (size_t at = 0; at + 1 < line.size(); at += 2) {
      input.push_back(static_cast<uint8_t>(std::stoul(line.substr(at, 2), nullptr, 16)));
    }
    input.shrink_to_fit();
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++inputs;
  }
  std::cout << inputs << " inputs\n";
  return inputs > 0 ? 0 : 1;
}
