namespace Bgkvm.Consoles;

/// <summary>What the user wants.</summary>
internal enum EscapeAction
{
    /// <summary>Nothing but to go on.</summary>
    None,
    /// <summary>Send a BREAK.</summary>
    Break,
    /// <summary>Leave.</summary>
    Detach,
}
