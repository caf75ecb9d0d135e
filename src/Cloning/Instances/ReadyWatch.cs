using System.Text;
using System.Text.RegularExpressions;

namespace Cloning.Instances;

/// <summary>
/// Waits for the guest to say that it is up: a regular expression on what its console prints from now on, or <c>ready</c> on the guest
/// channel.
/// </summary>
/// <remarks>A guest that announces itself there says when it is ready, and knows better than its login prompt: the default pattern gives way to it.</remarks>
public sealed class ReadyWatch : IDisposable
{
    private const int WindowChars = 4096;

    private readonly Regex _pattern;
    private readonly GuestChannel? _yieldTo;
    private readonly StringBuilder _window = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IDisposable _attachment;

    /// <summary>Starts watching.</summary>
    /// <param name="console">Whose output.</param>
    /// <param name="pattern">The regular expression; see <see cref="Parse"/>.</param>
    public ReadyWatch(IConsole console, Regex pattern)
    {
        _pattern = pattern;
        _attachment = console.Attach(Look, replay: 0);
    }

    /// <summary>Watches for what an instance is configured to wait for.</summary>
    /// <exception cref="InstanceException">The pattern is not usable.</exception>
    public static ReadyWatch For(InstanceConfig config, ConsoleHub hub) =>
        new(hub, Parse(config.ReadyPattern), hub.Channel, yields: config.ReadyPattern == InstanceConfig.DefaultReadyPattern);

    private ReadyWatch(IConsole console, Regex pattern, GuestChannel channel, bool yields)
    {
        _pattern = pattern;
        _yieldTo = yields ? channel : null;
        _attachment = console.Attach(Look, replay: 0);
        channel.Ready.ContinueWith(_ => _ready.TrySetResult(), TaskScheduler.Default);
    }

    /// <summary>Completes when the OS is up.</summary>
    public Task Ready => _ready.Task;

    /// <summary>What the guest printed on its last, unfinished line: normally the login prompt.</summary>
    public string LastLine
    {
        get
        {
            lock (_window)
            {
                string text = _window.ToString();
                return text[(text.LastIndexOf('\n') + 1)..];
            }
        }
    }

    /// <summary>What the guest printed last, at most 4,096 characters: what an operator wants to see when it never came up.</summary>
    public string Tail
    {
        get
        {
            lock (_window) return _window.ToString();
        }
    }

    /// <summary>Compiles a user's pattern. It runs in linear time whatever it is, since a guest chooses the text.</summary>
    /// <exception cref="InstanceException">It is not a regular expression, or uses back-references or look-around.</exception>
    public static Regex Parse(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new InstanceException($"The ready pattern '{pattern}' is not usable: {e.Message}", exitCode: 2, e);
        }
    }

    /// <summary>Stops watching.</summary>
    public void Dispose() => _attachment.Dispose();

    private void Look(ReadOnlyMemory<byte> output)
    {
        lock (_window)
        {
            _window.Append(Encoding.Latin1.GetString(output.Span));
            if (_window.Length > WindowChars) _window.Remove(0, _window.Length - WindowChars);
            if (_ready.Task.IsCompleted || _yieldTo is { Announced: true }) return;
            if (_pattern.IsMatch(_window.ToString())) _ready.TrySetResult();
        }
    }
}
