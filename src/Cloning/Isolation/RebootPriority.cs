namespace Cloning.Isolation;

/// <summary>How much of the host a shadow may have. Each step is one that <c>--max-duration</c> can raise it by.</summary>
public enum RebootPriority
{
    /// <summary>Only what nobody else wants.</summary>
    Idle,
    /// <summary>A small share, wanted or not.</summary>
    Low,
    /// <summary>What any process has.</summary>
    Normal,
}
