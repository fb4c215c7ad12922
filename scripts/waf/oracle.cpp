// Judges requests by libmodsecurity, whose verdicts the tests compare ours with, and tells what
// processor time that took. Built where it is used:
//
//   g++ -O2 -std=c++17 scripts/waf/oracle.cpp -o oracle -lmodsecurity
//   oracle [--tx NAME]... [--lines] (FILE | --inline DIRECTIVES)... <requests >verdicts
//
// Rules are loaded in the order in which they are given. A request is a line of JSON:
//
//   {"method": "POST", "target": "/a?b=c", "protocol": "HTTP/1.1", "headers": [["Host", "a"]],
//    "body": "d=e", "response": {"status": 200, "headers": [], "body": ""}}
//
// Only method and target must be there; without a response, its phases are left out. A string
// stands for its bytes in UTF-8; where bytes are no UTF-8, {"base64": "..."} takes its place.
// The answer is a line of JSON, too:
//
//   {"logged": [920350], "lines": ["..."], "tx": {"anomaly_score": "3"},
//    "refused": {"status": 403, "phase": 2, "rule": 949110}, "cpu_ns": 812345}
//
// `logged` has the rules that logged, in order, and `lines` (with --lines) what each would have
// written; `tx` the variables asked for that are set, as they are after phase 5; `refused` is null
// where the request passes.

#include <modsecurity/modsecurity.h>
#include <modsecurity/rule_message.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "json.hpp"

namespace {

using json::bytes_of;
using json::Json;
using json::quote;

using Headers = std::vector<std::pair<std::string, std::string>>;

Headers headers_of(const Json *value) {
  Headers headers;
  if (value == nullptr) return headers;
  for (const Json &pair : value->items) {
    if (pair.items.size() != 2) throw std::runtime_error("a header is a name and a value");
    headers.emplace_back(bytes_of(&pair.items[0]), bytes_of(&pair.items[1]));
  }
  return headers;
}

struct Options {
  std::vector<std::string> tx;
  bool lines = false;
};

struct Verdict {
  bool wants_lines = false;
  std::vector<int> logged;
  std::vector<std::string> lines;
  std::string tx;
  int status = 0;  // 0 where it passes
  int phase = 0;
  int rule = 0;
  uint64_t cpu_ns = 0;
};

void on_log(void *data, const void *message) {
  auto *verdict = static_cast<Verdict *>(data);
  const auto *rule = static_cast<const modsecurity::RuleMessage *>(message);
  verdict->logged.push_back(rule->m_ruleId);
  if (verdict->wants_lines) verdict->lines.push_back(modsecurity::RuleMessage::log(rule));
}

uint64_t cpu_time() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// The library tells of a rule that refuses in the intervention, not through on_log.
void take_refusal(const std::string &line, Verdict *verdict) {
  const std::string before = "[id \"";
  const size_t at = line.find(before);
  if (at == std::string::npos) return;
  verdict->rule = std::atoi(line.c_str() + at + before.size());
  verdict->logged.push_back(verdict->rule);
  if (verdict->wants_lines) verdict->lines.push_back(line);
}

bool is_refused(modsecurity::Transaction *transaction, Verdict *verdict, int phase) {
  modsecurity::ModSecurityIntervention it;
  modsecurity::intervention::clean(&it);
  transaction->intervention(&it);
  if (it.disruptive) {
    verdict->status = it.status;
    verdict->phase = phase;
    take_refusal(it.log == nullptr ? "" : it.log, verdict);
  }
  modsecurity::intervention::free(&it);
  return verdict->status != 0;
}

struct Request {
  std::string method, target, version, body;
  Headers headers;
  bool has_response = false;
  int status = 0;
  Headers response_headers;
  std::string response_body;

  explicit Request(const Json &json) {
    method = bytes_of(json.find("method"));
    target = bytes_of(json.find("target"));
    version = json.find("protocol") == nullptr ? "HTTP/1.1" : bytes_of(json.find("protocol"));
    // The library puts it in front itself.
    if (version.compare(0, 5, "HTTP/") == 0) version.erase(0, 5);
    headers = headers_of(json.find("headers"));
    body = bytes_of(json.find("body"));
    const Json *response = json.find("response");
    if (response == nullptr || response->kind == Json::Null) return;
    has_response = true;
    const Json *code = response->find("status");
    status = code == nullptr ? 200 : std::atoi(code->text.c_str());
    response_headers = headers_of(response->find("headers"));
    response_body = bytes_of(response->find("body"));
  }
};

const unsigned char *raw(const std::string &bytes) {
  return reinterpret_cast<const unsigned char *>(bytes.data());
}

// As a server calls the library: what was refused is not asked about again, only logged.
void run(modsecurity::Transaction *tx, const Request &request, Verdict *verdict) {
  tx->processConnection("127.0.0.1", 40000, "127.0.0.1", 80);
  tx->processURI(request.target.c_str(), request.method.c_str(), request.version.c_str());
  for (const auto &header : request.headers) {
    tx->addRequestHeader(raw(header.first), header.first.size(), raw(header.second),
                         header.second.size());
  }
  tx->processRequestHeaders();
  if (is_refused(tx, verdict, 1)) return;
  if (!request.body.empty()) tx->appendRequestBody(raw(request.body), request.body.size());
  tx->processRequestBody();
  if (is_refused(tx, verdict, 2) || !request.has_response) return;
  for (const auto &header : request.response_headers) {
    tx->addResponseHeader(raw(header.first), header.first.size(), raw(header.second),
                          header.second.size());
  }
  tx->processResponseHeaders(request.status, "HTTP/1.1");
  if (is_refused(tx, verdict, 3)) return;
  if (!request.response_body.empty()) {
    tx->appendResponseBody(raw(request.response_body), request.response_body.size());
  }
  tx->processResponseBody();
  is_refused(tx, verdict, 4);
}

std::string tx_of(modsecurity::Transaction *transaction, const Options &options) {
  std::string text;
  for (const std::string &name : options.tx) {
    const auto value = transaction->m_collections.m_tx_collection->resolveFirst(name);
    if (value == nullptr) continue;
    if (!text.empty()) text += ", ";
    text += quote(name) + ": " + quote(*value);
  }
  return text;
}

Verdict judge(modsecurity::ModSecurity *library, modsecurity::RulesSet *rules,
              const Request &request, const Options &options) {
  Verdict verdict;
  verdict.wants_lines = options.lines;
  const uint64_t before = cpu_time();
  auto transaction = std::make_unique<modsecurity::Transaction>(library, rules, &verdict);
  run(transaction.get(), request, &verdict);
  transaction->processLogging();
  const uint64_t between = cpu_time();
  verdict.tx = tx_of(transaction.get(), options);
  const uint64_t after = cpu_time();
  transaction.reset();
  verdict.cpu_ns = between - before + (cpu_time() - after);
  return verdict;
}

std::string line_of(const Verdict &verdict) {
  std::string line = "{\"logged\": [";
  for (size_t i = 0; i < verdict.logged.size(); i++) {
    line += (i == 0 ? "" : ", ") + std::to_string(verdict.logged[i]);
  }
  line += "], ";
  if (verdict.wants_lines) {
    line += "\"lines\": [";
    for (size_t i = 0; i < verdict.lines.size(); i++) {
      line += (i == 0 ? "" : ", ") + quote(verdict.lines[i]);
    }
    line += "], ";
  }
  line += "\"tx\": {" + verdict.tx + "}, \"refused\": ";
  if (verdict.status == 0) {
    line += "null";
  } else {
    line += "{\"status\": " + std::to_string(verdict.status) +
            ", \"phase\": " + std::to_string(verdict.phase) +
            ", \"rule\": " + std::to_string(verdict.rule) + "}";
  }
  return line + ", \"cpu_ns\": " + std::to_string(verdict.cpu_ns) + "}\n";
}

int serve(int argc, char **argv) {
  Options options;
  modsecurity::RulesSet rules;
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i];
    const bool takes_value = argument == "--inline" || argument == "--tx";
    if (takes_value && ++i == argc) throw std::runtime_error(argument + " lacks its value");
    int loaded = 0;
    if (argument == "--lines") {
      options.lines = true;
    } else if (argument == "--tx") {
      options.tx.push_back(argv[i]);
    } else if (argument == "--inline") {
      loaded = rules.load(argv[i], "inline");
    } else {
      loaded = rules.loadFromUri(argv[i]);
    }
    if (loaded < 0) throw std::runtime_error(rules.getParserError());
  }
  modsecurity::ModSecurity library;
  library.setServerLogCb(on_log, modsecurity::RuleMessageLogProperty);
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    std::cout << line_of(judge(&library, &rules, Request(json::Reader(line).read()), options));
    std::cout.flush();
  }
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    return serve(argc, argv);
  } catch (const std::exception &fault) {
    std::cerr << "oracle: " << fault.what() << "\n";
    return 2;
  }
}
