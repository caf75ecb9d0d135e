namespace TestKit.Guests;

/// <summary>How a <see cref="TinyOs"/> starts.</summary>
public enum TinyOsBoot
{
    /// <summary>Comes up.</summary>
    Normally,
    /// <summary>Never prints its prompt.</summary>
    Hangs,
    /// <summary>Resets at once, as a kernel that panics does.</summary>
    Resets,
    /// <summary>Says hello on the guest channel, prompts, and is ready later; answers what it is asked there.</summary>
    Announces,
}
