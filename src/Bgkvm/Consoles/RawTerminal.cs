using Bgkvm.Hosting;

namespace Bgkvm.Consoles;

/// <summary>The terminal on stdin in raw mode: every key goes to the guest, and the guest's output comes out as it is.</summary>
internal sealed unsafe class RawTerminal : IDisposable
{
    private readonly byte[] _original;
    private int _restored;

    private RawTerminal(byte[] original)
    {
        _original = original;
        // Also when the process ends some other way.
        AppDomain.CurrentDomain.ProcessExit += OnExit;
    }

    /// <summary>Enters raw mode.</summary>
    /// <returns>Null when stdin is not a terminal.</returns>
    public static RawTerminal? Enter()
    {
        byte[] original = new byte[Posix.TermiosSize];
        byte* raw = stackalloc byte[Posix.TermiosSize];
        // SAFETY: both buffers have the size of a struct termios; libc fills and reads them.
        fixed (byte* saved = original)
        {
            if (Posix.tcgetattr(0, saved) != 0) return null;
            original.CopyTo(new Span<byte>(raw, Posix.TermiosSize));
        }

        Posix.cfmakeraw(raw);
        return Posix.tcsetattr(0, Posix.TCSADRAIN, raw) == 0 ? new RawTerminal(original) : null;
    }

    /// <summary>Puts the terminal back as it was. Any number of times, on any thread.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _restored, 1) != 0) return;
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        // SAFETY: libc reads a struct termios that tcgetattr filled.
        fixed (byte* saved = _original) _ = Posix.tcsetattr(0, Posix.TCSADRAIN, saved);
    }

    private void OnExit(object? sender, EventArgs e) => Dispose();
}
