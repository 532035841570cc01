// What of MQL5 the expert adviser uses, as C++, so that a test can compile and drive it without MetaTrader.
//
// One symbol, one chart, one position; orders are written down and filled by nobody. The test's Python side sets the
// bars, the account and the position, and answers for the model.
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <string>
#include <vector>

typedef std::string string;
typedef long long datetime;
typedef unsigned long ulong;
typedef unsigned char uchar;

template <class T> struct Array {
  std::vector<T> items;
  T &operator[](long i) { return items.at(i); }
  const T &operator[](long i) const { return items.at(i); }
};
template <class T> int ArrayResize(Array<T> &array, int size) { array.items.resize(size); return size; }
template <class T> void ArraySetAsSeries(Array<T> &, bool) {}
template <class T> void ArraySort(Array<T> &array) { std::sort(array.items.begin(), array.items.end()); }

inline double MathMax(double a, double b) { return a > b ? a : b; }
inline double MathMin(double a, double b) { return a < b ? a : b; }
inline double MathAbs(double x) { return std::fabs(x); }
inline double MathSqrt(double x) { return std::sqrt(x); }
inline double MathExp(double x) { return std::exp(x); }
inline double MathLog(double x) { return std::log(x); }
inline double MathSin(double x) { return std::sin(x); }
inline double MathCos(double x) { return std::cos(x); }
inline double MathFloor(double x) { return std::floor(x); }
inline double MathRound(double x) { return std::round(x); }
inline bool MathIsValidNumber(double x) { return std::isfinite(x); }
inline double NormalizeDouble(double x, int digits) { double k = std::pow(10.0, digits); return std::round(x * k) / k; }

struct MqlDateTime { int year, mon, day, hour, min, sec, day_of_week, day_of_year; };
inline void TimeToStruct(datetime stamp, MqlDateTime &out) {
  time_t t = stamp; tm parts; gmtime_r(&t, &parts);
  out = {parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
         parts.tm_wday, parts.tm_yday};
}
inline datetime StructToTime(const MqlDateTime &in) {
  tm parts = {}; parts.tm_year = in.year - 1900; parts.tm_mon = in.mon - 1; parts.tm_mday = in.day;
  parts.tm_hour = in.hour; parts.tm_min = in.min; parts.tm_sec = in.sec;
  return timegm(&parts);
}

// --- the terminal
struct MqlRates { datetime time; double open, high, low, close; long tick_volume; int spread; long real_volume; };
enum { PERIOD_CURRENT, INIT_SUCCEEDED = 0, INIT_FAILED = 1, INIT_PARAMETERS_INCORRECT = 2, INVALID_HANDLE = -1 };
enum { ACCOUNT_EQUITY, SYMBOL_TRADE_TICK_VALUE, SYMBOL_TRADE_TICK_SIZE, SYMBOL_VOLUME_STEP, SYMBOL_VOLUME_MIN,
       SYMBOL_VOLUME_MAX, SYMBOL_ASK, SYMBOL_BID, SYMBOL_TRADE_STOPS_LEVEL };
enum { POSITION_SYMBOL, POSITION_MAGIC, POSITION_TYPE, POSITION_VOLUME, POSITION_PRICE_OPEN, POSITION_TIME, POSITION_SL, POSITION_TP,
       POSITION_TYPE_BUY, POSITION_TYPE_SELL };
enum { ONNX_DEFAULT, ONNX_NO_CONVERSION };

static string _Symbol = "EURUSD";
static int _Period = 0, _Digits = 8;
static double _Point = 1e-5;
static std::vector<MqlRates> Terminal;  // closed bars
static long Seconds = 3600;
static std::map<int, double> Numbers;   // of account and symbol
static struct { double units, entry; long held, magic; double sl, tp; } Held = {0, 0, 0, 0, 0, 0};
static std::vector<double> Orders;      // sign, lots, stop level, take level; a close is 0, 0, 0, 0; moved levels are 2, 0, stop, take
static std::map<string, double> Globals;
static string Said;
typedef void (*Answer)(const float *, int, float *, int);
static Answer Ask = nullptr;

inline int PeriodSeconds(int) { return (int)Seconds; }
inline double AccountInfoDouble(int what) { return Numbers[what]; }
inline double SymbolInfoDouble(const string &, int what) { return Numbers[what]; }
inline long SymbolInfoInteger(const string &, int what) { return (long)Numbers[what]; }
inline datetime TimeCurrent() { return Terminal.back().time + Seconds; }
inline datetime iTime(const string &, int, int) { return Terminal.empty() ? 0 : Terminal.back().time + Seconds; }
inline int iBarShift(const string &, int, datetime, bool) { return (int)Held.held; }
inline int CopyRates(const string &, int, int first, int count, Array<MqlRates> &out) {
  if(first != 1) return -1;  // bar 0 is being formed, and nothing must be read of it
  int have = std::min<int>(count, Terminal.size());
  out.items.assign(Terminal.end() - have, Terminal.end());
  return have;
}
inline int PositionsTotal() { return Held.units != 0; }
inline ulong PositionGetTicket(int) { return 1; }
inline string PositionGetString(int) { return _Symbol; }
inline double PositionGetDouble(int what) {
  if(what == POSITION_SL || what == POSITION_TP) return what == POSITION_SL ? Held.sl : Held.tp;
  return what == POSITION_VOLUME ? std::fabs(Held.units) : Held.entry;
}
inline long PositionGetInteger(int what) {
  if(what == POSITION_MAGIC) return Held.magic;
  if(what == POSITION_TYPE) return Held.units > 0 ? POSITION_TYPE_BUY : POSITION_TYPE_SELL;
  return TimeCurrent() - Held.held * Seconds;
}
inline bool GlobalVariableCheck(const string &name) { return Globals.count(name) > 0; }
inline double GlobalVariableGet(const string &name) { return Globals[name]; }
inline datetime GlobalVariableSet(const string &name, double value) { Globals[name] = value; return 1; }
inline int GetLastError() { return 0; }
inline const char *Plain(const string &text) { return text.c_str(); }
template <class T> T Plain(T value) { return value; }
template <class... T> void PrintFormat(const string &form, T... values) {
  char line[512]; snprintf(line, sizeof line, form.c_str(), Plain(values)...); Said = line;
}
inline void Print(const string &text) { Said = text; }
template <class... T> string StringFormat(const string &form, const T &...values) {
  char line[512]; snprintf(line, sizeof line, form.c_str(), Plain(string(values))...); return line;
}

struct CTrade {
  void SetExpertMagicNumber(ulong) {}
  void SetDeviationInPoints(ulong) {}
  void SetTypeFillingBySymbol(const string &) {}
  bool order(double sign, double lots, double sl, double tp) { for(double x : {sign, lots, sl, tp}) Orders.push_back(x); return true; }
  bool Buy(double lots, const string &, double, double sl, double tp, const string &) { return order(1, lots, sl, tp); }
  bool Sell(double lots, const string &, double, double sl, double tp, const string &) { return order(-1, lots, sl, tp); }
  bool PositionModify(ulong, double sl, double tp) { Held.sl = sl; Held.tp = tp; return order(2, 0, sl, tp); }
  bool PositionClose(ulong) { Held.units = 0; return order(0, 0, 0, 0); }
  string ResultRetcodeDescription() { return ""; }
};

inline long OnnxCreateFromBuffer(const uchar *, int) { return 1; }
inline bool OnnxSetInputShape(long, int, const long *shape) { return shape[0] == 1; }
inline bool OnnxSetOutputShape(long, int, const long *shape) { return shape[0] == 1; }
inline bool OnnxRelease(long) { return true; }
inline bool OnnxRun(long, int, const Array<float> &in, Array<float> &out) {
  Ask(in.items.data(), (int)in.items.size(), out.items.data(), (int)out.items.size());
  return true;
}
