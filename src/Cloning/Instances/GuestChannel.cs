using System.Buffers.Text;
using System.Text;
using Vmm.Devices;

namespace Cloning.Instances;

/// <summary>
/// The host's end of the guest channel: lines of text on the guest's second serial port (docs/guest-channel.md). Who has not said
/// hello is told nothing. A guest may say what it likes: a line has a limit, and nothing is kept of one but what it means.
/// </summary>
public sealed class GuestChannel : ISerialOutput
{
    /// <summary>Bytes in a line at most, without its end; of longer ones nothing is heard.</summary>
    public const int MaxLineBytes = 160;

    private const int Version = 1;

    private readonly Lock _gate = new();
    private readonly Lock _inputGate;
    private readonly byte[] _line = new byte[MaxLineBytes];
    private int _length; // beyond MaxLineBytes: the rest of the line is skipped
    private TaskCompletionSource _ready = NewReady();
    private TaskCompletionSource<string?>? _answer;
    private int _asked;
    private volatile bool _announced;
    private Serial8250? _port;

    /// <summary>Makes one; <see cref="Connect"/> gives it a port.</summary>
    /// <param name="inputGate">Held while a line is delivered, and by who moves the port from one machine to another.</param>
    internal GuestChannel(Lock inputGate) => _inputGate = inputGate;

    /// <summary>Whether the OS has said hello: somebody is there who understands.</summary>
    public bool Announced => _announced;

    /// <summary>Completes when the OS says that it is up.</summary>
    public Task Ready => _ready.Task;

    /// <summary>Called when the guest asks for a background reboot: on a vCPU's thread, so it only passes that on.</summary>
    internal Action? RebootAsked { get; set; }

    /// <summary>An OS is about to boot.</summary>
    public void BeginAnew()
    {
        TakeOver(announced: false);
        lock (_gate) _ready = NewReady();
    }

    /// <summary>Another OS talks from now on, one that has booted elsewhere. Allocates nothing: it is part of a pause.</summary>
    /// <param name="announced">Whether it has said hello there.</param>
    public void TakeOver(bool announced)
    {
        lock (_gate) (_length, _announced) = (0, announced);
    }

    /// <summary>Tells the guest something; a guest that does not read misses what does not fit behind its port.</summary>
    public void Tell(string line)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(line.ReplaceLineEndings(" ") + "\n");
        if (bytes.Length > MaxLineBytes) bytes = [.. bytes.AsSpan(0, MaxLineBytes - 1), (byte)'\n'];
        lock (_inputGate) _port?.Receive(bytes);
    }

    /// <summary>Asks the guest for something and waits for its answer. One question at a time.</summary>
    /// <param name="verb">What.</param>
    /// <param name="limit">How long to wait.</param>
    /// <param name="cancellation">Gives up waiting.</param>
    /// <returns>Null when it is done, else why not.</returns>
    public string? Ask(string verb, TimeSpan limit, CancellationToken cancellation)
    {
        TaskCompletionSource<string?> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate) (_asked, _answer) = (_asked + 1, answer);
        Tell($"{verb} {_asked}");
        return answer.Task.Wait((int)limit.TotalMilliseconds, cancellation)
            ? answer.Task.Result
            : $"no answer within {limit.TotalSeconds:0} s";
    }

    /// <summary>Takes what the guest sends. On a vCPU's thread, with the port locked.</summary>
    void ISerialOutput.Write(ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes)
        {
            bool asked = false;
            lock (_gate)
            {
                if (b != (byte)'\n') Append(b);
                else asked = TakeLine();
            }

            if (asked) RebootAsked?.Invoke();
        }
    }

    internal void Connect(Serial8250? port) => _port = port;

    private static TaskCompletionSource NewReady() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Append(byte b)
    {
        if (_length < MaxLineBytes) _line[_length] = b;
        if (_length <= MaxLineBytes) _length++;
    }

    /// <returns>Whether a background reboot is asked for.</returns>
    private bool TakeLine()
    {
        ReadOnlySpan<byte> line = _line.AsSpan(0, Math.Min(_length, MaxLineBytes));
        bool whole = _length <= MaxLineBytes;
        _length = 0;
        if (!whole) return false;
        if (line.EndsWith("\r"u8)) line = line[..^1];
        int space = line.IndexOf((byte)' ');
        ReadOnlySpan<byte> verb = space < 0 ? line : line[..space], rest = space < 0 ? [] : line[(space + 1)..];
        if (verb.SequenceEqual("hello"u8)) _announced = Number(ref rest) == Version;
        else if (line.SequenceEqual("ready"u8)) _ready.TrySetResult();
        else if (line.SequenceEqual("reboot --background"u8)) return true;
        else if (verb.SequenceEqual("done"u8)) Answered(rest, failed: false);
        else if (verb.SequenceEqual("failed"u8)) Answered(rest, failed: true);
        return false;
    }

    private void Answered(ReadOnlySpan<byte> rest, bool failed)
    {
        if (Number(ref rest) != _asked) return; // to a question that nobody waits for any more
        _answer?.TrySetResult(failed ? Printable(rest) : null);
    }

    private static int Number(ref ReadOnlySpan<byte> text)
    {
        if (!Utf8Parser.TryParse(text, out int number, out int length)) return -1;
        text = text[length..];
        return number;
    }

    // It ends up in reports and on terminals.
    private static string Printable(ReadOnlySpan<byte> text) =>
        string.Concat(Encoding.Latin1.GetString(text).Where(c => c is >= ' ' and <= '~')).Trim() is { Length: > 0 } said ? said : "it failed";
}
