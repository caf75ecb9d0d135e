namespace Cloning.Isolation;

/// <summary>What becomes of a background reboot that takes longer than it was meant to.</summary>
public enum OverrunAction
{
    /// <summary>Its shadow gets the next higher priority, and the one after that when half as much time again has gone by.</summary>
    Raise,
    /// <summary>It is given up; the instance runs on.</summary>
    Abort,
}
