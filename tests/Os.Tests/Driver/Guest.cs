using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Os.Tests.Driver;

/// <summary>
/// A guest's serial console and who sits there: types, reads, and waits for what shall appear. What has been waited for is
/// consumed; everything has a limit.
/// </summary>
internal sealed class Guest : IDisposable
{
    /// <summary>What <see cref="StartHeartbeat"/> makes the guest print; a sign of life, and no text.</summary>
    private const byte Heartbeat = 5;

    private static int s_commands;

    private readonly object _gate = new();
    private readonly StringBuilder _unread = new();
    private readonly Stream _input, _output;
    private long _lastSign = Stopwatch.GetTimestamp();
    private int _heartbeats;
    private bool _closed;

    /// <summary>Sits down at a console.</summary>
    /// <param name="input">To the guest; owned.</param>
    /// <param name="output">From the guest; owned.</param>
    public Guest(Stream input, Stream output)
    {
        (_input, _output) = (input, output);
        new Thread(Read) { IsBackground = true, Name = "console" }.Start();
    }

    /// <summary>The longest time in which nothing came, since <see cref="StartHeartbeat"/>.</summary>
    public TimeSpan LongestSilence { get; private set; }

    /// <summary>Types.</summary>
    public void Send(string text) => _input.Write(Encoding.Latin1.GetBytes(text));

    /// <summary>Waits until unread output matches, and consumes it.</summary>
    /// <param name="pattern">A regular expression.</param>
    /// <param name="limit">How long.</param>
    /// <exception cref="TimeoutException">It has not come.</exception>
    /// <exception cref="EndOfStreamException">The console was closed before it came.</exception>
    public Match WaitFor(string pattern, TimeSpan limit)
    {
        Stopwatch clock = Stopwatch.StartNew();
        lock (_gate)
        {
            while (true)
            {
                Match match = Regex.Match(_unread.ToString(), pattern, RegexOptions.CultureInvariant);
                if (match.Success)
                {
                    _unread.Remove(0, match.Index + match.Length);
                    return match;
                }

                if (_closed) throw new EndOfStreamException($"The console was closed without /{pattern}/; unread: {Unread()}");
                TimeSpan left = limit - clock.Elapsed;
                if (left <= TimeSpan.Zero || !Monitor.Wait(_gate, left))
                    throw new TimeoutException($"No /{pattern}/ on the console within {limit.TotalSeconds:0} s; unread: {Unread()}");
            }
        }
    }

    /// <summary>Waits until the other end has closed, and returns what it said since it was last read.</summary>
    /// <exception cref="TimeoutException">It has not.</exception>
    public string WaitForEnd(TimeSpan limit)
    {
        Stopwatch clock = Stopwatch.StartNew();
        lock (_gate)
        {
            while (!_closed)
            {
                TimeSpan left = limit - clock.Elapsed;
                if (left <= TimeSpan.Zero || !Monitor.Wait(_gate, left))
                    throw new TimeoutException($"The console is still open after {limit.TotalSeconds:0} s; unread: {Unread()}");
            }

            return _unread.ToString();
        }
    }

    /// <summary>Waits for the login prompt and logs in.</summary>
    public void LogIn()
    {
        WaitFor("login: ", Limits.Boot);
        Send("root\n");
        WaitFor(@"(?m)^/\S* # ", Limits.Answer);
    }

    /// <summary>Runs a command in the guest's shell.</summary>
    /// <returns>What it printed, trimmed.</returns>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public string Run(string command)
    {
        (int status, string output) = Try(command);
        return status == 0 ? output : throw new InvalidOperationException($"'{command}' in the guest ended with {status}: {output}");
    }

    /// <summary>Runs a command in the guest's shell that may fail.</summary>
    /// <returns>Its exit status, and what it printed, trimmed.</returns>
    public (int Status, string Output) Try(string command)
    {
        // Control characters mark where output begins and ends; in the echo of what is typed they are still backslashes.
        // The number keeps the answer to an earlier command, which a console replays to who attaches, from being taken for this.
        string id = Interlocked.Increment(ref s_commands).ToString(CultureInfo.InvariantCulture);
        Send($"printf '\\002{id}\\002'; {command}; printf '\\003{id}:%s\\003' $?\n");
        Match match = WaitFor($"\x02{id}\x02([\\s\\S]*)\x03{id}:([0-9]+)\x03", Limits.Answer);
        string output = match.Groups[1].Value.Replace("\r", "", StringComparison.Ordinal).Trim();
        return (int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture), output);
    }

    /// <summary>The random id that Linux gives every boot.</summary>
    public string BootId() => Run("cat /proc/sys/kernel/random/boot_id");

    /// <summary>Writes a file and makes it durable, name and content.</summary>
    public void WriteDurably(string path, string content) => Run($"echo '{content}' >{path} && sync {path}");

    /// <summary>The persistent disk appears a moment after a switch; the guest's log says when it is mounted.</summary>
    public void WaitForPersistentDisk() => Run("grep -q -m 1 'mounted on /data' /dev/kmsg");

    /// <summary>From now on the guest prints something every 50 ms, and <see cref="LongestSilence"/> counts.</summary>
    public void StartHeartbeat()
    {
        Run($"while :; do printf '\\{Heartbeat:d3}'; usleep 50000; done & true");
        WaitForHeartbeat();
        LongestSilence = TimeSpan.Zero;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _input.Dispose();
        _output.Dispose();
    }

    private void WaitForHeartbeat()
    {
        lock (_gate)
        {
            int before = _heartbeats;
            Stopwatch clock = Stopwatch.StartNew();
            while (_heartbeats == before)
            {
                TimeSpan left = Limits.Answer - clock.Elapsed;
                if (left <= TimeSpan.Zero || !Monitor.Wait(_gate, left)) throw new TimeoutException("No heartbeat on the console");
            }
        }
    }

    private void Read()
    {
        byte[] buffer = new byte[4096];
        int count;
        do
        {
            try
            {
                count = _output.Read(buffer);
            }
            // Closed meanwhile. A stream that is closed just as it begins to read says that it cannot read: no ObjectDisposedException.
            catch (Exception e) when (e is IOException or InvalidOperationException)
            {
                count = 0;
            }

            lock (_gate)
            {
                TimeSpan silence = Stopwatch.GetElapsedTime(_lastSign);
                if (silence > LongestSilence) LongestSilence = silence;
                _lastSign = Stopwatch.GetTimestamp();
                foreach (byte b in buffer.AsSpan(0, count))
                {
                    if (b == Heartbeat) _heartbeats++;
                    else _unread.Append((char)b);
                }

                if (count == 0) _closed = true;
                Monitor.PulseAll(_gate);
            }
        }
        while (count > 0);
    }

    private string Unread()
    {
        string text = _unread.ToString();
        return text.Length <= 2000 ? $"'{text}'" : $"'…{text[^2000..]}'";
    }
}
