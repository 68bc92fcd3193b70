// open_files: reads file names from standard input and prints for each "ok" or
// the error of opening it as safetensors. differential.py compares the verdicts
// with the reference library.
#include <iostream>
#include <string>

#include "runtime/checkpoint/SafetensorsFile.h"

int main() {
  std::string path;
  while (std::getline(std::cin, path)) {
    hadal::Status status = hadal::SafetensorsFile::open(path).status();
    std::cout << (status.ok() ? "ok" : status.message()) << "\n";
  }
  return 0;
}
