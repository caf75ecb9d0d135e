using System.Diagnostics;
using System.Net.Sockets;

namespace Reboots;

/// <summary>
/// Asks a guest's console all the time whether anybody is there: types a character at its login prompt, which the prompt's process
/// prints, then the key that takes it back, which it answers too. Answers are what counts; what else the console prints is none.
/// </summary>
internal sealed class Heartbeat : IDisposable
{
    // No word of a boot log has either of them.
    private const byte Typed = (byte)'~', TakenBack = (byte)'\b', Delete = 0x7F;
    private const int Impatience = 20; // intervals; then it asks again: what the old OS was asked last, nobody answers
    private static readonly byte[][] s_questions = [[Typed], [Delete]];

    private readonly Socket _socket;
    private readonly TimeSpan _interval;
    private readonly Lock _gate = new();
    private readonly List<long> _answers = [], _turns = [];
    private readonly ManualResetEventSlim _answered = new();
    private readonly Thread _reader, _writer;
    private readonly string _prompt;
    private TaskCompletionSource _prompted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string _tail = "";
    private volatile bool _silent = true, _asked, _ended;

    /// <summary>Attaches to a console socket; it begins to ask with <see cref="Ask"/>.</summary>
    internal Heartbeat(string socketPath, TimeSpan interval, string prompt)
    {
        _interval = interval;
        _prompt = prompt;
        _socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        _socket.Connect(new UnixDomainSocketEndPoint(socketPath));
        _reader = new Thread(Read) { Name = "answers" };
        _writer = new Thread(Write) { Name = "questions" };
        _reader.Start();
        _writer.Start();
    }

    /// <summary>Begins or goes on to ask.</summary>
    internal void Ask() => _silent = false;

    /// <summary>Stops asking: nobody is there who could answer.</summary>
    internal void BeSilent() => _silent = true;

    /// <summary>Forgets prompts seen so far; the task completes with the next one.</summary>
    internal Task NextPrompt()
    {
        lock (_gate)
        {
            _tail = "";
            _prompted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _prompted.Task;
        }
    }

    /// <summary>A prompt that was there before this attached is in what the console replays.</summary>
    internal Task FirstPrompt()
    {
        lock (_gate) return _prompted.Task;
    }

    /// <summary>When answers came within a span of time, Stopwatch ticks.</summary>
    internal long[] Between(long from, long to)
    {
        lock (_gate) return [.. _answers.Where(a => a >= from && a <= to)];
    }

    /// <summary>When this asked or found itself still waiting: gaps are its own, not the guest's.</summary>
    internal long[] TurnsBetween(long from, long to)
    {
        lock (_gate) return [.. _turns.Where(t => t >= from && t <= to)];
    }

    /// <summary>Waits for an answer that comes after a moment.</summary>
    internal long FirstAfter(long moment, TimeSpan limit)
    {
        long found = 0;
        bool came = SpinWait.SpinUntil(() => (found = First()) != 0, limit);
        return came ? found : throw new TimeoutException($"the console does not answer within {limit.TotalSeconds:0} s");

        long First()
        {
            lock (_gate) return _answers.FirstOrDefault(a => a > moment);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ended = true;
        _writer.Join(); // it may be about to ask
        _socket.Shutdown(SocketShutdown.Both);
        _reader.Join();
        _socket.Dispose();
        _answered.Dispose();
    }

    private void Write()
    {
        int next = 0;
        while (!_ended)
        {
            long asked = Stopwatch.GetTimestamp();
            TakeTurn();
            if (!_silent)
            {
                _answered.Reset();
                _asked = true;
                _ = _socket.Send(s_questions[next++ % s_questions.Length]);
                for (int wait = 0; wait < Impatience && !_answered.Wait(_interval); wait++) TakeTurn();
            }

            TimeSpan left = _interval - Stopwatch.GetElapsedTime(asked);
            if (left > TimeSpan.Zero) Thread.Sleep(left);
        }
    }

    private void TakeTurn()
    {
        lock (_gate) _turns.Add(Stopwatch.GetTimestamp());
    }

    private void Read()
    {
        byte[] buffer = new byte[4096];
        while (true)
        {
            int count = _socket.Receive(buffer);
            long now = Stopwatch.GetTimestamp();
            if (count == 0) return;
            lock (_gate)
            {
                // One for each question: what is taken back is three characters, which may come one by one.
                bool answer = _asked && buffer.AsSpan(0, count).ContainsAny(Typed, TakenBack);
                if (answer)
                {
                    _asked = false;
                    _answers.Add(now);
                    _answered.Set();
                }

                _tail += System.Text.Encoding.Latin1.GetString(buffer, 0, count);
                if (_tail.Contains(_prompt, StringComparison.Ordinal)) _prompted.TrySetResult();
                if (_tail.Length > 256) _tail = _tail[^256..];
            }
        }
    }
}
