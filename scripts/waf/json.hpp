// JSON, as much of it as the oracle reads and writes. Strings are bytes: those that are no UTF-8
// stand as {"base64": "..."}. Truth is skipped, for nothing here asks for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace json {

inline const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
inline const int DEEPEST = 16;

struct Json {
  enum Kind { Null, Number, Text, List, Fields } kind = Null;
  std::string text;  // of a number as well
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> fields;

  const Json *find(const std::string &name) const {
    for (const auto &field : fields) {
      if (field.first == name) return &field.second;
    }
    return nullptr;
  }
};

inline std::string from_base64(const std::string &text) {
  const std::string alphabet(BASE64);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (char letter : text) {
    if (letter == '=') break;
    const size_t value = alphabet.find(letter);
    if (value == std::string::npos) throw std::runtime_error("no base64");
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xff);
    }
  }
  return bytes;
}

class Reader {
 public:
  explicit Reader(const std::string &text) : text_(text) {}

  Json read() {
    Json value = value_at(0);
    skip_space();
    if (at_ != text_.size()) throw std::runtime_error("more than one value in a line");
    return value;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) at_++;
  }

  char peek() {
    skip_space();
    if (at_ == text_.size()) throw std::runtime_error("a line ends too early");
    return text_[at_];
  }

  bool take(char wanted) {
    if (peek() != wanted) return false;
    at_++;
    return true;
  }

  void expect(char wanted) {
    if (!take(wanted)) throw std::runtime_error(std::string("a line lacks a ") + wanted);
  }

  Json value_at(int depth) {
    if (depth == DEEPEST) throw std::runtime_error("a line is too deep");
    Json value;
    const char first = peek();
    if (first == '"') {
      value.kind = Json::Text;
      value.text = string();
    } else if (take('[')) {
      value.kind = Json::List;
      while (!take(']')) {
        if (!value.items.empty()) expect(',');
        value.items.push_back(value_at(depth + 1));
      }
    } else if (take('{')) {
      value.kind = Json::Fields;
      while (!take('}')) {
        if (!value.fields.empty()) expect(',');
        peek();
        std::string name = string();
        expect(':');
        value.fields.emplace_back(std::move(name), value_at(depth + 1));
      }
    } else if (word("null") || word("false") || word("true")) {
      value.kind = Json::Null;
    } else {
      value.kind = Json::Number;
      value.text = digits();
      if (value.text.empty()) throw std::runtime_error("a value that is unknown here");
    }
    return value;
  }

  bool word(const std::string &wanted) {
    if (text_.compare(at_, wanted.size(), wanted) != 0) return false;
    at_ += wanted.size();
    return true;
  }

  std::string digits() {
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') at_++;
    return text_.substr(start, at_ - start);
  }

  std::string string() {
    expect('"');
    std::string bytes;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') {
        at_++;
        escape(&bytes);
      } else {
        bytes += text_[at_++];
      }
    }
    if (at_ == text_.size()) throw std::runtime_error("a string does not end");
    at_++;
    return bytes;
  }

  void escape(std::string *bytes) {
    const std::string names = "\"\\/bfnrt";
    const std::string values = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) throw std::runtime_error("a string does not end");
    const char name = text_[at_++];
    const size_t known = names.find(name);
    if (known != std::string::npos) {
      *bytes += values[known];
    } else if (name == 'u') {
      uint32_t point = unit();
      if (point >= 0xd800 && point < 0xdc00 && text_.compare(at_, 2, "\\u") == 0) {
        at_ += 2;
        point = 0x10000 + ((point - 0xd800) << 10) + (unit() - 0xdc00);
      }
      append(bytes, point);
    } else {
      throw std::runtime_error("an escape that is unknown");
    }
  }

  uint32_t unit() {
    const std::string digits = text_.substr(at_, 4);
    at_ += digits.size();
    size_t read = 0;
    const unsigned long value = std::stoul(digits, &read, 16);
    if (read != 4) throw std::runtime_error("\\u without four digits");
    return static_cast<uint32_t>(value);
  }

  static void append(std::string *bytes, uint32_t point) {
    if (point < 0x80) {
      *bytes += static_cast<char>(point);
      return;
    }
    const int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    const int leads[] = {0, 0xc0, 0xe0, 0xf0};
    *bytes += static_cast<char>(leads[more] | point >> (6 * more));
    for (int left = more - 1; left >= 0; left--) {
      *bytes += static_cast<char>(0x80 | (point >> (6 * left) & 0x3f));
    }
  }

  const std::string &text_;
  size_t at_ = 0;
};

inline std::string bytes_of(const Json *value) {
  if (value == nullptr || value->kind == Json::Null) return "";
  if (value->kind == Json::Fields) return from_base64(bytes_of(value->find("base64")));
  return value->text;
}

// How many bytes of valid UTF-8 begin there; 0 where it is not.
inline size_t sequence(const std::string &bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.size()) return 0;
  for (size_t i = at + 1; i < at + length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  const bool wrong = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                     (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
  return wrong ? 0 : length;
}

inline bool is_utf8(const std::string &bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = sequence(bytes, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

inline std::string base64(const std::string &bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t bits = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - at);
    for (size_t i = 0; i < 3; i++) {
      bits = bits << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    }
    for (size_t i = 0; i < 4; i++) {
      text += i <= count ? BASE64[bits >> (18 - 6 * i) & 0x3f] : '=';
    }
  }
  return text;
}

inline std::string quote(const std::string &bytes) {
  if (!is_utf8(bytes)) return "{\"base64\": \"" + base64(bytes) + "\"}";
  std::string text = "\"";
  for (char byte : bytes) {
    if (byte == '"' || byte == '\\') {
      text += '\\';
      text += byte;
    } else if (static_cast<unsigned char>(byte) < 0x20) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(byte));
      text += escaped;
    } else {
      text += byte;
    }
  }
  return text + "\"";
}

}  // namespace json
