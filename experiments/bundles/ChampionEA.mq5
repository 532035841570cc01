//+------------------------------------------------------------------+
//| A champion of Lineage Arena as an expert adviser for MetaTrader 5 |
//|                                                                    |
//| Put this file and model.onnx of the bundle into one folder under   |
//| MQL5/Experts, compile, and attach it to a chart of the instrument  |
//| and the bar length named below. At the first tick of each new bar  |
//| it works out from closed bars what the champion saw in the arena,  |
//| asks the network or the forest, and holds what it answers.         |
//+------------------------------------------------------------------+
#property version "1.00"
#include <Trade\Trade.mqh>
#resource "model.onnx" as uchar Model[]

enum DAYLIGHT { DAYLIGHT_NONE, DAYLIGHT_US, DAYLIGHT_EU };
enum FEATURE
  {
   LOG_RETURN, MEAN_DISTANCE, RSI, MACD, ATR, BOLLINGER, VOLATILITY_RATIO, RANGE_POSITION, VOLUME_Z, TREND_STRENGTH,
   GAP_LENGTH, HOUR, WEEKDAY, MONTH, SESSION
  };
enum REGIME { BULL_TRENDING, BEAR_TRENDING, VOLATILE_RANGING, CALM_RANGING, UNKNOWN };

//--- What is this champion's own
@CONSTANTS@
//--- What is the user's to say
input double   InpServerOffset = 2.0;           // Server clock ahead of UTC in winter, hours
input DAYLIGHT InpDaylight     = DAYLIGHT_US;   // Daylight saving of the server clock
input double   InpShare        = 1.0;           // Share of the account's equity that is the champion's
input double   InpMaxExposure  = MAX_EXPOSURE;  // Largest exposure, as a multiple of that equity
input double   InpMaxDrawdown  = MAX_DRAWDOWN;  // Loss from the peak at which it stops, as a fraction
input double   InpMaxDailyLoss = MAX_DAILY_LOSS; // Loss since 00:00 UTC at which it stops, as a fraction
input bool     InpVolume       = VOLUME_SEEN;   // Whether the bars it was bred on had volume
input bool     InpSpread       = true;          // Mid prices from bid and spread; false takes bid for mid
input int      InpDeviation    = 20;            // Largest slippage of an order, points
input long     InpMagic        = 20260;         // Mark of its orders

#define VIEW 4
#define NEGLIGIBLE 1e-12
#define LEAST_ATR 1e-6
#define WIDEST_STOP 0.95
#define DAY 86400
#define LN2_HIGH 0.6931471803691238
#define LN2_LOW 1.9082149292705877e-10
#define ROOT_HALF 0.7071067811865476
#define TURN 6.283185307179586

//--- The window: the last WINDOW closed bars, oldest first, mid prices
double High[], Low[], Close[], LogClose[], Volume[];
long   Stamp[];                                 // UTC, seconds, of a bar's open

//+------------------------------------------------------------------+
//| Primitives: one order of operations, so that bits repeat           |
//+------------------------------------------------------------------+
double Log(const double x)
  {
   double fraction = x, times = 0.0;
   while(fraction >= 1.0) { fraction *= 0.5; times += 1.0; }
   while(fraction < 0.5)  { fraction *= 2.0; times -= 1.0; }
   if(fraction < ROOT_HALF) { fraction *= 2.0; times -= 1.0; }
   double s = (fraction - 1.0) / (fraction + 1.0);
   double squared = s * s;
   double series = 1.0 / 23.0;
   for(int odd = 21; odd >= 3; odd -= 2)
     {
      series *= squared;
      series += 1.0 / odd;
     }
   return(times * LN2_HIGH + (2.0 * s + (2.0 * s * squared * series + times * LN2_LOW)));
  }

double Ratio(const double above, const double below, const double floor_, const double otherwise)
  {
   return(below <= floor_ ? otherwise : above / below);
  }

double Ema(const double &values[], const double alpha, const int bars, const int at)
  {
   double average = values[at - bars + 1];
   for(int lag = bars - 2; lag >= 0; lag--)
     {
      double step = values[at - lag] - average;
      step *= alpha;
      average += step;
     }
   return(average);
  }

//--- Last value less the mean of the last `bars`, and their standard deviation
void MeanDeviation(const double &values[], const int bars, const int at, const int ddof, double &away, double &deviation)
  {
   double last = values[at], mean = 0.0, squares = 0.0;
   for(int lag = bars - 1; lag >= 0; lag--)
      mean += values[at - lag] - last;
   mean /= bars;
   for(int lag = bars - 1; lag >= 0; lag--)
     {
      double apart = values[at - lag] - last;
      apart -= mean;
      apart *= apart;
      squares += apart;
     }
   deviation = MathSqrt(squares / (bars - ddof));
   away = -mean;
  }

//--- Slope and R-squared of the least-squares line through the last `bars` log closes
void Line(const int bars, const int at, double &slope, double &strength)
  {
   double away = 0.0, deviation = 0.0, sxy = 0.0, last = LogClose[at];
   MeanDeviation(LogClose, bars, at, 0, away, deviation);
   double mean = -away;
   for(int lag = bars - 1; lag >= 0; lag--)
     {
      double apart = LogClose[at - lag] - last;
      apart -= mean;
      apart *= 0.5 * (bars - 1) - lag;
      sxy += apart;
     }
   double n = bars;
   double sxx = n * (n * n - 1.0) / 12.0;
   double syy = n * deviation * deviation;
   slope = sxy / sxx;
   strength = MathMin(Ratio(sxy * sxy, sxx * syy, sxx * n * NEGLIGIBLE * NEGLIGIBLE, 0.0), 1.0);
  }

double RootMeanSquareReturn(const int bars, const int at)
  {
   double total = 0.0;
   for(int lag = bars - 1; lag >= 0; lag--)
     {
      double step = LogClose[at - lag] - LogClose[at - lag - 1];
      total += step * step;
     }
   return(MathSqrt(total / bars));
  }

//+------------------------------------------------------------------+
//| Features of the newest bar                                         |
//+------------------------------------------------------------------+
double MeanDistance(const int bars, const int at)
  {
   double away = 0.0, deviation = 0.0, n = bars;
   MeanDeviation(LogClose, bars, at, 0, away, deviation);
   return(Ratio(away, RootMeanSquareReturn(bars, at) * MathSqrt(n), NEGLIGIBLE, 0.0));
  }

double RelativeStrength(const int period, const int terms, const int at)
  {
   double rises[], falls[];
   ArrayResize(rises, terms);
   ArrayResize(falls, terms);
   for(int i = 0; i < terms; i++)
     {
      double step = Close[at - terms + 1 + i] - Close[at - terms + i];
      rises[i] = MathMax(step, 0.0);
      falls[i] = MathMax(-step, 0.0);
     }
   double gain = Ema(rises, 1.0 / period, terms, terms - 1), loss = Ema(falls, 1.0 / period, terms, terms - 1);
   return(Ratio(gain - loss, gain + loss, Close[at] * NEGLIGIBLE, 0.0));
  }

double MacdHistogram(const int fast, const int slow, const int signal, const int fast_terms, const int slow_terms,
                     const int signal_terms, const int at)
  {
   double line[];
   ArrayResize(line, signal_terms);
   for(int i = 0; i < signal_terms; i++)
     {
      int bar = at - signal_terms + 1 + i;
      line[i] = Ema(Close, 2.0 / (fast + 1), fast_terms, bar) - Ema(Close, 2.0 / (slow + 1), slow_terms, bar);
     }
   return((line[signal_terms - 1] - Ema(line, 2.0 / (signal + 1), signal_terms, signal_terms - 1)) / Close[at]);
  }

double RelativeAtr(const int period, const int terms, const int at)
  {
   double spans[];
   ArrayResize(spans, terms);
   for(int i = 0; i < terms; i++)
     {
      int bar = at - terms + 1 + i;
      spans[i] = MathMax(High[bar], Close[bar - 1]) - MathMin(Low[bar], Close[bar - 1]);
     }
   return(Ema(spans, 1.0 / period, terms, terms - 1) / Close[at]);
  }

double BollingerPosition(const int bars, const int at)
  {
   double away = 0.0, deviation = 0.0;
   MeanDeviation(Close, bars, at, 0, away, deviation);
   return(Ratio(away, 2.0 * deviation, Close[at] * NEGLIGIBLE, 0.0));
  }

double RangePosition(const int bars, const int at)
  {
   double low = Low[at], high = High[at];
   for(int lag = bars - 1; lag >= 0; lag--)
     {
      low = MathMin(low, Low[at - lag]);
      high = MathMax(high, High[at - lag]);
     }
   return(Ratio((Close[at] - low) - (high - Close[at]), high - low, Close[at] * NEGLIGIBLE, 0.0));
  }

double VolumeZ(const int bars, const int at)
  {
   double away = 0.0, deviation = 0.0;
   MeanDeviation(Volume, bars, at, 0, away, deviation);
   return(Ratio(away, deviation, MathAbs(Volume[at]) * NEGLIGIBLE, 0.0));
  }

double TrendStrength(const int bars, const int at)
  {
   double slope = 0.0, strength = 0.0;
   Line(bars, at, slope, strength);
   return(slope > 0.0 ? strength : slope < 0.0 ? -strength : 0.0);
  }

double GapLength(const int bars, const int at)
  {
   double apart[];
   ArrayResize(apart, bars);
   for(int i = 0; i < bars; i++)
      apart[i] = (double)(Stamp[at - bars + 1 + i] - Stamp[at - bars + i]);
   double newest = apart[bars - 1];
   ArraySort(apart);
   return(Log(newest / apart[(bars - 1) / 2]));
  }

//--- Sine (wave 0) or cosine (1) of a step of a cycle, to 12 decimals
double Cycle(const long step, const int steps, const int wave)
  {
   double angle = TURN * step / steps;
   return(MathRound((wave == 0 ? MathSin(angle) : MathCos(angle)) * 1e12) / 1e12 + 0.0);
  }

int WeekdayOf(const long stamp)                 // 0 is Monday; the epoch was a Thursday
  {
   return((int)((stamp / DAY + 3) % 7));
  }

int MonthOf(const long stamp)                   // 0 is January
  {
   MqlDateTime parts;
   TimeToStruct((datetime)stamp, parts);
   return(parts.mon - 1);
  }

double Session(const int first, const int after, const long stamp)
  {
   long minute = stamp % DAY / 60;
   return(minute >= first * 60 && minute < after * 60 && WeekdayOf(stamp) < 5 ? 1.0 : 0.0);
  }

double Feature(const int index, const int at)
  {
   int a = FeatureParameter[index][0], b = FeatureParameter[index][1], c = FeatureParameter[index][2];
   int d = FeatureParameter[index][3], e = FeatureParameter[index][4], f = FeatureParameter[index][5];
   switch(FeatureKind[index])
     {
      case LOG_RETURN:       return(LogClose[at] - LogClose[at - a]);
      case MEAN_DISTANCE:    return(MeanDistance(a, at));
      case RSI:              return(RelativeStrength(a, b, at));
      case MACD:             return(MacdHistogram(a, b, c, d, e, f, at));
      case ATR:              return(RelativeAtr(a, b, at));
      case BOLLINGER:        return(BollingerPosition(a, at));
      case VOLATILITY_RATIO: return(Ratio(RootMeanSquareReturn(a, at), RootMeanSquareReturn(b, at), NEGLIGIBLE, 1.0));
      case RANGE_POSITION:   return(RangePosition(a, at));
      case VOLUME_Z:         return(VolumeZ(a, at));
      case TREND_STRENGTH:   return(TrendStrength(a, at));
      case GAP_LENGTH:       return(GapLength(a, at));
      case HOUR:             return(Cycle(Stamp[at] % DAY / 60, 1440, a));
      case WEEKDAY:          return(Cycle(WeekdayOf(Stamp[at]), 7, a));
      case MONTH:            return(Cycle(MonthOf(Stamp[at]), 12, a));
      case SESSION:          return(Session(a, b, Stamp[at]));
     }
   return(0.0);
  }

//--- Scaled, clipped and rounded to float, as the champion takes them
float Scaled(const double value, const int index)
  {
   double scaled = (value - Centre[index]) / Scale[index];
   return((float)MathMax(-CLIP, MathMin(CLIP, scaled)));
  }

//+------------------------------------------------------------------+
//| The regime of the newest bar                                       |
//+------------------------------------------------------------------+
int Regime(const int at)
  {
   double steps[];
   double slope = 0.0, trend = 0.0, away = 0.0, sigma = 0.0, newest = 0.0;
   int count = REGIME_RETURNS + REGIME_RANKS - 1;
   ArrayResize(steps, count);
   for(int i = 0; i < count; i++)
      steps[i] = LogClose[at - count + 1 + i] - LogClose[at - count + i];
   double total = LogClose[at] - LogClose[at - REGIME_RETURNS];
   Line(REGIME_RETURNS + 1, at, slope, trend);
   int twice = 1;
   for(int lag = 0; lag < REGIME_RANKS; lag++)
     {
      MeanDeviation(steps, REGIME_RETURNS, count - 1 - lag, 1, away, sigma);
      if(sigma <= NEGLIGIBLE)
         sigma = 0.0;
      if(lag == 0)
         newest = sigma;
      twice += (sigma < newest ? 1 : 0) + (sigma <= newest ? 1 : 0);
     }
   double rank = twice / (2.0 * REGIME_RANKS);
   if(trend > REGIME_TRENDING && total > 0.0)
      return(BULL_TRENDING);
   if(trend > REGIME_TRENDING && total < 0.0)
      return(BEAR_TRENDING);
   return(trend < REGIME_RANGING && rank > REGIME_VOLATILE ? VOLATILE_RANGING : CALM_RANGING);
  }

//+------------------------------------------------------------------+
//| The account as the champion sees it, and what it makes of values   |
//+------------------------------------------------------------------+
int Sign(const double x)
  {
   return(x > 0.0 ? 1 : x < 0.0 ? -1 : 0);
  }

float Clipped(const double x)
  {
   return((float)MathMax(-5.0, MathMin(5.0, x)));
  }

//--- notional: signed worth of the position at the mid close, in money
void AccountView(const double equity, const double peak, const double notional, const double entry, const double close,
                 const double atr, const int held, float &view[])
  {
   ArrayResize(view, VIEW);
   view[0] = Clipped(notional / MathMax(equity, 1e-6 * peak));
   view[1] = Clipped(0.2 * Sign(notional) * (close - entry) / (close * atr));
   view[2] = Clipped(5.0 * (1.0 - equity / peak));
   view[3] = Clipped(0.25 * MathLog(1.0 + held));
  }

//--- What scars and trust leave of the exposure, in [0, 1]
double Factor(const float &seen[], const int regime)
  {
   double factor = 1.0;
   if(MEMORY_ACTS)
     {
      double nearest = 0.0;
      for(int moment = 0; moment < MOMENTS; moment++)
        {
         double square = 0.0;
         for(int i = 0; i < FEATURES; i++)
            square += (seen[i] - MemoryFeatures[moment][i]) * (seen[i] - MemoryFeatures[moment][i]);
         if(MemoryWeight[moment] > 0.0)
            nearest = MathMax(nearest, MathExp(-square / FEATURES / (2.0 * MEMORY_REACH * MEMORY_REACH)));
        }
      factor *= 1.0 - MEMORY_STRENGTH * nearest;
     }
   if(TRUST_SCALES)
      factor *= TRUST_FLOOR + (1.0 - TRUST_FLOOR) * Trust[regime];
   return(factor);
  }

int Best(const float &values[])                 // ties go to the earlier action
  {
   int best = 0;
   for(int i = 1; i < ACTIONS; i++)
      if(values[i] > values[best])
         best = i;
   return(best);
  }

float Gap(const float &values[])                // between the two best
  {
   int best = Best(values);
   float second = -FLT_MAX;
   for(int i = 0; i < ACTIONS; i++)
      if(i != best && values[i] > second)
         second = values[i];
   return(values[best] - second);
  }

//+------------------------------------------------------------------+
//| Time: from the server's clock to UTC                               |
//+------------------------------------------------------------------+
//--- 00:00 UTC of the first Sunday on or after a day of a month
long Sunday(const int year, const int month, const int day)
  {
   MqlDateTime parts;
   TimeToStruct((datetime)0, parts);
   parts.year = year;
   parts.mon = month;
   parts.day = day;
   long stamp = (long)StructToTime(parts);
   return(stamp + (6 - WeekdayOf(stamp)) * (long)DAY);
  }

bool InDaylight(const long utc)
  {
   MqlDateTime parts;
   TimeToStruct((datetime)utc, parts);
   if(InpDaylight == DAYLIGHT_US)
      return(utc >= Sunday(parts.year, 3, 8) + 7 * 3600 && utc < Sunday(parts.year, 11, 1) + 6 * 3600);
   if(InpDaylight == DAYLIGHT_EU)
      return(utc >= Sunday(parts.year, 3, 25) + 3600 && utc < Sunday(parts.year, 10, 25) + 3600);
   return(false);
  }

long ToUtc(const long server)
  {
   long winter = server - (long)MathRound(InpServerOffset * 3600.0);
   return(InDaylight(winter - 3600) ? winter - 3600 : winter);
  }

//+------------------------------------------------------------------+
//| The terminal: bars, account, orders                                |
//+------------------------------------------------------------------+
CTrade   Trade;
long     Handle = INVALID_HANDLE;
datetime Newest = 0;                            // Open of the bar that is being formed
double   Peak = 0.0, DayEquity = 0.0;
long     Today = 0;
bool     Halted = false;

string Kept(const string what)                  // Name under which the terminal keeps a number of ours
  {
   return(StringFormat("%s.%s.%s", BUNDLE, _Symbol, what));
  }

double Equity()
  {
   return(AccountInfoDouble(ACCOUNT_EQUITY) * InpShare);
  }

//--- Half way between the sides, with the spread that the champion was bred with
double Mid(const double bid, const double ask)
  {
   double mid = 0.5 * (bid + ask);
   if(!SPREAD_SET)
      return(mid);
   double half = 0.5 * (SPREAD + SPREAD_RATE * mid);
   return(0.5 * ((mid - half) + (mid + half)));
  }

//--- Fill the window with the last closed bars; false says why
bool LoadBars(string &reason)
  {
   MqlRates rates[];
   ArraySetAsSeries(rates, false);
   int count = CopyRates(_Symbol, _Period, 1, WINDOW, rates);
   if(count < WINDOW)
     {
      reason = "warming_up";
      return(false);
     }
   ArrayResize(High, WINDOW);
   ArrayResize(Low, WINDOW);
   ArrayResize(Close, WINDOW);
   ArrayResize(LogClose, WINDOW);
   ArrayResize(Volume, WINDOW);
   ArrayResize(Stamp, WINDOW);
   bool traded = false;
   for(int i = 0; i < WINDOW; i++)
      traded = traded || rates[i].real_volume > 0;
   for(int i = 0; i < WINDOW; i++)
     {
      double apart = InpSpread ? rates[i].spread * _Point : 0.0;
      if(rates[i].low <= 0.0 || rates[i].high < rates[i].low || rates[i].close < rates[i].low ||
         rates[i].close > rates[i].high)
        {
         reason = "bad_prices";
         return(false);
        }
      High[i] = Mid(rates[i].high, rates[i].high + apart);
      Low[i] = Mid(rates[i].low, rates[i].low + apart);
      Close[i] = Mid(rates[i].close, rates[i].close + apart);
      LogClose[i] = Log(Close[i]);
      Volume[i] = !InpVolume ? 0.0 : (double)(traded ? rates[i].real_volume : rates[i].tick_volume);
      Stamp[i] = ToUtc((long)rates[i].time);
      if(i > 0 && Stamp[i] <= Stamp[i - 1])
        {
         reason = "out_of_order";
         return(false);
        }
     }
   if(Stamp[WINDOW - 1] - Stamp[WINDOW - 2] > LONGEST_GAP)
     {
      reason = "gap";
      return(false);
     }
   return(true);
  }

//--- Money that one lot gains when the price rises by 1
double LotWorth()
  {
   return(SymbolInfoDouble(_Symbol, SYMBOL_TRADE_TICK_VALUE) / SymbolInfoDouble(_Symbol, SYMBOL_TRADE_TICK_SIZE));
  }

//--- Our position: signed lots, price and bars held
double Position(double &entry, int &held)
  {
   double lots = 0.0, worth = 0.0;
   datetime opened = 0;
   for(int i = PositionsTotal() - 1; i >= 0; i--)
     {
      ulong ticket = PositionGetTicket(i);
      if(ticket == 0 || PositionGetString(POSITION_SYMBOL) != _Symbol || PositionGetInteger(POSITION_MAGIC) != InpMagic)
         continue;
      double volume = PositionGetDouble(POSITION_VOLUME);
      double own = PositionGetInteger(POSITION_TYPE) == POSITION_TYPE_BUY ? volume : -volume;
      lots += own;
      worth += own * PositionGetDouble(POSITION_PRICE_OPEN);
      datetime time = (datetime)PositionGetInteger(POSITION_TIME);
      opened = opened == 0 || time < opened ? time : opened;
     }
   entry = lots == 0.0 ? 0.0 : worth / lots;
   held = lots == 0.0 ? 0 : (int)MathMax(1, iBarShift(_Symbol, _Period, opened, false));
   return(lots);
  }

bool Flatten()
  {
   bool done = true;
   for(int i = PositionsTotal() - 1; i >= 0; i--)
     {
      ulong ticket = PositionGetTicket(i);
      if(ticket == 0 || PositionGetString(POSITION_SYMBOL) != _Symbol || PositionGetInteger(POSITION_MAGIC) != InpMagic)
         continue;
      if(!Trade.PositionClose(ticket))
        {
         done = false;
         PrintFormat("closing %I64u failed: %s", ticket, Trade.ResultRetcodeDescription());
        }
     }
   return(done);
  }

//--- Lots that make an exposure, rounded toward zero to what the venue takes
double LotsOf(const double exposure, const double equity, const double price)
  {
   double step = SymbolInfoDouble(_Symbol, SYMBOL_VOLUME_STEP);
   double lots = MathFloor(MathAbs(exposure) * equity / (price * LotWorth()) / step * (1.0 + 1e-9)) * step;
   lots = MathMin(lots, SymbolInfoDouble(_Symbol, SYMBOL_VOLUME_MAX));
   return(lots < SymbolInfoDouble(_Symbol, SYMBOL_VOLUME_MIN) ? 0.0 : lots);
  }

//--- A level on the venue's grid, at least as far from a price as the venue wants
double Level(const double wanted, const double from)
  {
   double least = SymbolInfoInteger(_Symbol, SYMBOL_TRADE_STOPS_LEVEL) * _Point;
   double level = wanted > from ? MathMax(wanted, from + least) : MathMin(wanted, from - least);
   double tick = SymbolInfoDouble(_Symbol, SYMBOL_TRADE_TICK_SIZE);
   return(NormalizeDouble(MathRound(level / tick) * tick, _Digits));
  }

//--- Hold `target` times the equity from now on
void Hold(const double target, const double equity, const double close, const double stop, const double take)
  {
   if(!Flatten() || target == 0.0)
      return;
   double exposure = MathMax(-InpMaxExposure, MathMin(InpMaxExposure, target));
   double lots = LotsOf(exposure, equity, close);
   if(lots == 0.0)
      return;
   bool buys = exposure > 0.0;
   double ask = SymbolInfoDouble(_Symbol, SYMBOL_ASK), bid = SymbolInfoDouble(_Symbol, SYMBOL_BID);
   double entry = buys ? ask : bid, leaves = buys ? bid : ask;
   double sl = 0.0, tp = 0.0;
   if(STOPS)
     {
      sl = Level(buys ? entry * (1.0 - stop) : entry * (1.0 + stop), leaves);
      double level = buys ? entry * (1.0 + take) : entry * (1.0 - take);
      tp = level > 0.0 ? Level(level, leaves) : 0.0;
      GlobalVariableSet(Kept("stop"), stop);
     }
   bool done = buys ? Trade.Buy(lots, _Symbol, 0.0, sl, tp, BUNDLE) : Trade.Sell(lots, _Symbol, 0.0, sl, tp, BUNDLE);
   if(!done)
      PrintFormat("order of %.2f lots failed: %s", lots, Trade.ResultRetcodeDescription());
  }

//--- Stops follow the favourable extreme of the last closed bar, never away from the price; one that the price has
//--- passed is met now. Positions opened in the bar under way wait for its close.
void Trail()
  {
   MqlRates rates[];
   if(!GlobalVariableCheck(Kept("stop")) || CopyRates(_Symbol, _Period, 1, 1, rates) != 1)
      return;
   double apart = InpSpread ? rates[0].spread * _Point : 0.0, tick = SymbolInfoDouble(_Symbol, SYMBOL_TRADE_TICK_SIZE);
   for(int i = PositionsTotal() - 1; i >= 0; i--)
     {
      ulong ticket = PositionGetTicket(i);
      if(ticket == 0 || PositionGetString(POSITION_SYMBOL) != _Symbol || PositionGetInteger(POSITION_MAGIC) != InpMagic)
         continue;
      double sl = PositionGetDouble(POSITION_SL);
      if(sl == 0.0 || PositionGetInteger(POSITION_TIME) >= (long)Newest)
         continue;
      double side = PositionGetInteger(POSITION_TYPE) == POSITION_TYPE_BUY ? 1.0 : -1.0;
      double best = side > 0.0 ? rates[0].high : rates[0].low + apart;
      double leaves = SymbolInfoDouble(_Symbol, side > 0.0 ? SYMBOL_BID : SYMBOL_ASK);
      double wanted = best - side * PositionGetDouble(POSITION_PRICE_OPEN) * GlobalVariableGet(Kept("stop"));
      bool done = true;
      if(side * (wanted - sl) <= 0.5 * tick)
         continue;
      if(side * (wanted - leaves) >= 0.0)
         done = Trade.PositionClose(ticket);
      else if(side * (Level(wanted, leaves) - sl) > 0.5 * tick)
         done = Trade.PositionModify(ticket, Level(wanted, leaves), PositionGetDouble(POSITION_TP));
      if(!done)
         PrintFormat("moving the stop of %I64u failed: %s", ticket, Trade.ResultRetcodeDescription());
     }
  }

//--- Whether the guard lets it trade; once it does not, it stays so until somebody deletes the terminal's variable
bool Guarded()
  {
   double equity = Equity();
   long today = ToUtc((long)TimeCurrent()) / DAY;
   if(today != Today)
     {
      bool known = GlobalVariableCheck(Kept("day")) && GlobalVariableGet(Kept("day")) == (double)today;
      Today = today;
      DayEquity = known ? GlobalVariableGet(Kept("day_equity")) : equity;
      GlobalVariableSet(Kept("day"), (double)today);
      GlobalVariableSet(Kept("day_equity"), DayEquity);
     }
   if(equity > Peak)
     {
      Peak = equity;
      GlobalVariableSet(Kept("peak"), Peak);
     }
   string why = "";
   if(equity <= Peak * (1.0 - InpMaxDrawdown))
      why = "largest drawdown";
   else if(equity <= DayEquity * (1.0 - InpMaxDailyLoss))
      why = "largest daily loss";
   if(why == "")
      return(true);
   if(Flatten())
     {
      Halted = true;
      GlobalVariableSet(Kept("halted"), 1.0);
      PrintFormat("stopped: %s; equity %.2f, peak %.2f", why, equity, Peak);
     }
   return(false);
  }

//--- One decision, at the close of the newest bar
void Decide()
  {
   string reason = "";
   if(!LoadBars(reason))
     {
      PrintFormat("no order: %s", reason);
      return;
     }
   int at = WINDOW - 1, held = 0;
   float seen[], view[], asked[], values[];
   ArrayResize(seen, FEATURES);
   for(int i = 0; i < FEATURES; i++)
      seen[i] = Scaled(Feature(i, at), i);
   double atr = MathMax(RelativeAtr(ATR_PERIOD, ATR_TERMS, at), LEAST_ATR), entry = 0.0, equity = Equity();
   if(!MathIsValidNumber(equity) || equity <= 0.0)
     {
      Print("no order: account");
      return;
     }
   double lots = Position(entry, held);
   AccountView(equity, Peak, lots * LotWorth() * Close[at], entry, Close[at], atr, held, view);
   ArrayResize(asked, FEATURES + VIEW);
   for(int i = 0; i < FEATURES; i++)
      asked[i] = seen[i];
   for(int i = 0; i < VIEW; i++)
      asked[FEATURES + i] = view[i];
   ArrayResize(values, ACTIONS);
   if(!OnnxRun(Handle, ONNX_NO_CONVERSION, asked, values))
     {
      PrintFormat("no order: the model does not answer, error %d", GetLastError());
      return;
     }
   int action = Best(values), regime = Regime(at);
   if(Acts[regime] && Gap(values) < Least[regime])
      return;                                   // not clear enough: what is held is kept
   double wanted = Acts[regime] ? Exposure[action] : 0.0;
   if(Sign(wanted) == Sign(lots))               // asking for the side already held is no order
      return;
   double target = wanted * GENE_SIZE * Factor(seen, regime);
   Hold(target, equity, Close[at], MathMin(GENE_STOP * atr, WIDEST_STOP), GENE_TAKE_PROFIT * atr);
  }

int OnInit()
  {
   if(PeriodSeconds(_Period) != SECONDS)
     {
      PrintFormat("the champion knows bars of %d seconds; this chart has %d", SECONDS, PeriodSeconds(_Period));
      return(INIT_PARAMETERS_INCORRECT);
     }
   if(_Symbol != INSTRUMENT)
      PrintFormat("the champion was bred on %s; this chart shows %s", INSTRUMENT, _Symbol);
   Handle = OnnxCreateFromBuffer(Model, ONNX_DEFAULT);
   if(Handle == INVALID_HANDLE)
     {
      PrintFormat("model.onnx cannot be read, error %d", GetLastError());
      return(INIT_FAILED);
     }
   const long input_shape[] = {1, FEATURES + VIEW};
   const long output_shape[] = {1, ACTIONS};
   if(!OnnxSetInputShape(Handle, 0, input_shape) || !OnnxSetOutputShape(Handle, 0, output_shape))
     {
      PrintFormat("model.onnx has another shape, error %d", GetLastError());
      return(INIT_FAILED);
     }
   Trade.SetExpertMagicNumber(InpMagic);
   Trade.SetDeviationInPoints(InpDeviation);
   Trade.SetTypeFillingBySymbol(_Symbol);
   Peak = GlobalVariableCheck(Kept("peak")) ? GlobalVariableGet(Kept("peak")) : Equity();
   Halted = GlobalVariableCheck(Kept("halted"));
   if(Halted)
      PrintFormat("stopped earlier by its guard; delete the global variable %s to go on", Kept("halted"));
   Newest = iTime(_Symbol, _Period, 0);         // the bar under way has been decided about, or is too late
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   if(Handle != INVALID_HANDLE)
      OnnxRelease(Handle);
   Handle = INVALID_HANDLE;
  }

void OnTick()
  {
   if(Halted || !Guarded())
      return;
   datetime open = iTime(_Symbol, _Period, 0);
   if(open == 0 || open == Newest)
      return;
   Newest = open;
   Decide();
   if(TRAILING)
      Trail();
  }
//+------------------------------------------------------------------+
