using System.Text;
using System.Text.RegularExpressions;

namespace Cloning.Instances;

/// <summary>Waits for the guest to say something, such as that it is up: a regular expression on what its console prints from now on.</summary>
public sealed class ReadyWatch : IDisposable
{
    private const int WindowChars = 4096;

    private readonly Regex _pattern;
    private readonly Func<bool>? _ignores;
    private readonly StringBuilder _window = new();
    private readonly TaskCompletionSource<string> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly IDisposable _attachment;

    /// <summary>Starts watching.</summary>
    /// <param name="console">Whose output.</param>
    /// <param name="pattern">The regular expression; see <see cref="Parse"/>.</param>
    /// <param name="ignores">Asked at each output: whether the pattern does not count.</param>
    public ReadyWatch(IConsole console, Regex pattern, Func<bool>? ignores = null)
    {
        _pattern = pattern;
        _ignores = ignores;
        _attachment = console.Attach(Look, replay: 0);
    }

    /// <summary>Completes when the pattern has appeared, with what <see cref="Tail"/> was at that moment.</summary>
    public Task<string> Ready => _ready.Task;

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
            if (_ready.Task.IsCompleted || _ignores?.Invoke() == true) return;
            string window = _window.ToString();
            if (_pattern.IsMatch(window)) _ready.TrySetResult(window);
        }
    }
}
