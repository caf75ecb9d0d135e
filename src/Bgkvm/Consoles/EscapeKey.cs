namespace Bgkvm.Consoles;

/// <summary>Finds Ctrl-] in what is typed. After it, <c>b</c> sends a BREAK; anything else, or nothing, detaches.</summary>
internal sealed class EscapeKey
{
    /// <summary>Ctrl-].</summary>
    public const byte Key = 0x1d;

    /// <summary>Whether Ctrl-] was the last byte so far, and the next one decides.</summary>
    public bool Pending { get; private set; }

    /// <summary>Reads on, up to the next thing to do.</summary>
    /// <param name="typed">What was typed, not empty.</param>
    /// <param name="forGuest">How much of its beginning is for the guest, before the action.</param>
    /// <param name="taken">How much of it has been dealt with: go on after it.</param>
    public EscapeAction Scan(ReadOnlySpan<byte> typed, out int forGuest, out int taken)
    {
        if (Pending)
        {
            (forGuest, taken, Pending) = (0, 1, false);
            return typed[0] == (byte)'b' ? EscapeAction.Break : EscapeAction.Detach;
        }

        int at = typed.IndexOf(Key);
        Pending = at >= 0;
        (forGuest, taken) = Pending ? (at, at + 1) : (typed.Length, typed.Length);
        return EscapeAction.None;
    }
}
